"""The study of RLPF: every method gets as many verdicts, and tables tell frames from states."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rlpf import FRAMES_A_ROUND, METHODS, STUDIES, Study, finished, settings
from benchmarks.rlpf_table import COLUMNS, ORDER, SAYS, table


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.task)
def test_every_method_has_as_many_verdicts_and_rounds(study: Study) -> None:
    for name, config in settings(study).items():
        if config is not None:
            assert config.updates == study.updates and config.method == name
            judged = 0 if name == "supervised" else config.starts * config.group * config.frames
            assert judged == 0 or abs(judged / FRAMES_A_ROUND - 1) < 0.15


def test_the_table_knows_every_method() -> None:
    assert set(METHODS) == set(ORDER) == set(SAYS)


def test_the_same_task_from_frames_and_from_states_has_lines_of_its_own() -> None:
    examined = {
        "V": {"violations": 0.5, "plausible": 0.2},
        "J": {"violations": 0.4, "plausible": 0.3},
        "figures": {"kept_loss": 0.1, "energy": 1.0, "diversity": 1.0},
        "horizon": {"one_dream": [0.1, 0.7], "clips": [3, 1]},  # the root mean square of 0.1, 0.1, 0.1 and 0.7
    }
    row: dict[str, Any] = {"task": "wmenv/Mass-v0", "arm": "none", "examined": examined, "study": {}}
    row |= {"real_return": {"mean": 1.0}, "dreamed_return": {"mean": 3.0}}
    header, felt, seen = table([row, row | {"study": {"obs": "frames"}}])
    assert len(header) == len(felt) == len(COLUMNS) + 3
    assert [line[:3] for line in (felt, seen)] == [
        ["Mass-v0", "1", SAYS["none"]],
        ["Mass-v0, frames", "1", SAYS["none"]],
    ]
    assert felt[3:] == seen[3:] == ["50", "40", "20", "30", "0.1", "1", "1", "0.361", "1", "2"]


def test_a_row_of_other_settings_is_run_again(tmp_path: Path) -> None:
    study, path = STUDIES[0], tmp_path / "rows.jsonl"
    config = settings(study)["rlpf"]
    assert config is not None
    same = {"task": study.task, "seed": 0, "arm": "rlpf", "study": asdict(study), "config": asdict(config)}
    without = same | {"seed": 1, "arm": "none", "config": None}
    older = same | {"seed": 2, "study": {"task": study.task}}  # from before there were other sizes
    longer = same | {"seed": 3, "config": asdict(config) | {"updates": config.updates + 1}}
    larger = same | {"seed": 4, "study": asdict(study) | {"record_steps": study.record_steps + 1}}
    elsewhere = same | {"seed": 5, "task": "wmenv/Mass-v0"}
    unknown = same | {"seed": 6, "arm": "magic"}
    rows = (same, without, older, longer, larger, elsewhere, unknown)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert finished(path) == {(study.task, 0, "rlpf"), (study.task, 1, "none"), (study.task, 2, "rlpf")}
