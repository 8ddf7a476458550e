"""The study of returns runs what is missing, and only that."""

import json

from benchmarks.returns import STUDIES, finished


def test_a_run_with_other_settings_is_not_finished(tmp_path):
    study = next(study for study in STUDIES if study.policies > 1)
    row = {"task": study.task, "modality": study.obs, "seed": 1, **study.settings()}
    older = {name: value for name, value in row.items() if name != "policies"} | {"seed": 2}
    strangers = [row | {"seed": 3, "rounds": study.rounds + 1}, row | {"seed": 4, "task": "wmenv/Other-v0"}]
    path = tmp_path / "returns.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in (row, older, *strangers)) + '{"task": "cut o')
    assert finished(path) == {(study, 1)}, "rows that are older than a setting had its former value"
    alone = next(study for study in STUDIES if study.policies == 1)
    row = {"task": alone.task, "modality": alone.obs, "seed": 0, **alone.settings()}
    del row["policies"], row["gamma"]
    path.write_text(json.dumps(row) + "\n")
    assert finished(path) == {(alone, 0)}
    assert finished(tmp_path / "none.jsonl") == set()
