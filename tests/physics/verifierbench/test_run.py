"""The benchmark of the verifier: its arithmetic by hand, a small run end to end, and going on after a stop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from physics import (
    BenchConfig,
    ClipError,
    TaskError,
    calibrate,
    record_clips,
    run_verifierbench,
    summary_rows,
    summary_tables,
)
from physics.verifier import verifier as verifier_module
from physics.verifier.shipped import SEED
from physics.verifierbench import run as run_module
from physics.verifierbench.scores import auroc, false_alarms_at

ROOT = Path(__file__).resolve().parents[3]
TASK = "wmenv/InvertedPendulum-v0"


def test_auroc_by_hand():
    assert auroc(np.array([1.0, 2]), np.array([3.0, 4])) == 1
    assert auroc(np.array([3.0, 4]), np.array([1.0, 2])) == 0
    assert auroc(np.array([1.0, 1]), np.array([1.0])) == 0.5, "ties count half"
    assert auroc(np.array([1.0, 3]), np.array([2.0, 4])) == 0.75
    with pytest.raises(ValueError, match="expected clips on both sides"):
        auroc(np.array([]), np.array([1.0]))


def test_false_alarms_by_hand():
    real, bad = np.arange(10.0), np.arange(5.0, 25)
    assert false_alarms_at(real, bad, 1.0) == 0.5 and false_alarms_at(real, bad, 0.5) == 0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    known = calibrate(record_clips(TASK, 45, 16, seed=1), noise=0.02)
    monkeypatch.setattr(verifier_module, "known_calibration", lambda task, noise: known)


def test_a_run_goes_on_where_it_was_stopped(quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = BenchConfig(tasks=(TASK,), noise=(0.02,), clips=12, frames=16)
    told = []
    rows = run_verifierbench(config, tmp_path, told.append, {"command": "typed"})
    assert len(told) == 2 and [row["corruption"] for row in rows if row.get("command") == "typed"] == ["none"] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["verifierbench.jsonl"], "no temporary file remains"
    path = tmp_path / "verifierbench.jsonl"
    stored = path.read_text()
    assert [json.loads(line) for line in stored.splitlines()] == rows
    found = {(row["corruption"], row["actions"]): row for row in rows}
    assert found["teleport", True]["auroc"]["clip_score"] > 0.95 and "auroc" not in found["friction", True]
    assert found["swapped_actions", True]["auroc"]["clip_score"] > 0.95
    assert found["swapped_actions", False]["auroc"]["clip_score"] < 0.8, "who does not know the actions cannot see it"
    assert set(found["gear", True]["baselines"]) >= {"physdiff_phys_err", "rlpf_tracking", "phymotion_dynamic"}
    again = run_verifierbench(config, tmp_path, told.append)
    assert again == rows and len(told) == 2, "nothing was left to do"
    path.write_text("".join(line + "\n" for line in stored.splitlines()[:-3]))  # killed in the second part
    redone = run_verifierbench(config, tmp_path, told.append)
    assert len(told) == 3 and [r["corruption"] for r in redone] == [r["corruption"] for r in rows]
    tables = summary_tables(rows)
    assert "| teleport | 1.00 |" in tables["cells"] and "friction" not in tables["cells"]
    assert "| InvertedPendulum | with |" in tables["tasks"] and "physdiff_phys_err" in tables["rivals"]
    assert "| 2% | with |" in tables["noise"]
    other = {**rows[0], "noise": 0.05}
    drawn_from = summary_rows([*rows, other])
    assert drawn_from.keys() == tables.keys()
    assert [name for name, used in drawn_from.items() if other in used] == ["noise"], "the others show one level"
    assert {run_module.REAL_SEED, run_module.CORRUPTED_SEED}.isdisjoint({SEED, 71, 72}), "not those of tuning"


def test_parts_of_other_settings_are_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def cells(config: BenchConfig, task: str, noise: float | str, actions: bool):
        shared = {"task": task, "noise": noise, "actions": actions}
        yield {**shared, "corruption": "gravity", "clips": 8, "of": (config.clips, config.frames)}
        yield {**shared, "corruption": "none", "clips": config.clips}

    monkeypatch.setattr(run_module, "_cells", cells)
    told: list[str] = []
    first, more = BenchConfig(tasks=(TASK,), noise=(0.02, 0.05), clips=8), BenchConfig(tasks=(TASK,), noise=(0.02,))
    run_verifierbench(first, tmp_path, told.append)
    rows = run_verifierbench(more, tmp_path, told.append)
    assert len(told) == 6
    counts = {(row["noise"], row["clips"]) for row in rows if row["corruption"] == "none"}
    assert counts == {(0.02, 64), (0.05, 8)} and len(rows) == 8, "old rows of a part make way for new ones"
    for change in ({"frames": 16}, {"unlisted": False}, {"least_change": 0.1}, {"rivals_at": 0.05}):
        before = len(told)
        run_verifierbench(replace(more, **change), tmp_path, told.append)
        assert len(told) == before + (1 if "rivals_at" in change else 2), "only what the change concerns"
        run_verifierbench(more, tmp_path, told.append)
    assert run_verifierbench(more, tmp_path, told.append) == [
        json.loads(line) for line in (tmp_path / "verifierbench.jsonl").read_text().splitlines()
    ]


def test_the_committed_rows_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """They were written before settings were stored beside them."""
    committed = (ROOT / "results" / "verifierbench" / "verifierbench.jsonl").read_text()
    (tmp_path / "verifierbench.jsonl").write_text(committed)
    monkeypatch.setattr(run_module, "_cells", lambda *_: pytest.fail("nothing was left to do"))
    rows = run_verifierbench(BenchConfig(noise=(0.02,), clips=48), tmp_path)
    assert rows == [json.loads(line) for line in committed.splitlines()]


def test_bad_configs():
    with pytest.raises(TaskError, match="tasks: expected registered ids, got 'x'"):
        BenchConfig(tasks=("x",))
    with pytest.raises(ClipError, match="clips: expected at least 8, got 3"):
        BenchConfig(clips=3)
