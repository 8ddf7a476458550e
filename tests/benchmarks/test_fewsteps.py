"""Slips as they were meant, and a table that takes the last row of an arm."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import fewsteps_table, readme
from benchmarks.slips import SlippingActions, SlippingPolicy, wanted
from tests.wmenv.tiny import make_episode

LOW, HIGH = np.array([-1.0, 0.0]), np.array([1.0, 3.0])


def test_motors_do_again_what_they_did_as_often_as_asked():
    done = SlippingActions(LOW, HIGH, 4, 0.3, seed=0).actions(4000)
    assert done.shape == (4000, 4, 2) and (done >= LOW).all() and (done <= HIGH).all()
    again = (done[1:] == done[:-1]).all(-1)
    assert again.mean() == pytest.approx(0.3, abs=0.02)
    assert not (SlippingActions(LOW, HIGH, 4, 0.0, seed=0).actions(50)[1:] == done[:1]).any()


def test_what_was_wanted_is_even_and_apart_from_what_was_done_last():
    done = SlippingActions(LOW[:1], HIGH[:1], 1, 0.5, seed=0).actions(4000)[:, 0]
    episode = make_episode(0, frames=False)
    steps = len(episode.action)
    store = [
        wanted(make(episode, done[i : i + steps]), LOW[:1], HIGH[:1], np.random.default_rng(i))
        for i in range(0, len(done) - steps, steps)
    ]
    action = np.concatenate([e.action[1:, 0] for e in store])
    did = np.concatenate([done[i + 1 : i + steps, 0] for i in range(0, len(done) - steps, steps)])
    before = np.concatenate([done[i : i + steps - 1, 0] for i in range(0, len(done) - steps, steps)])
    assert action.mean() == pytest.approx(0, abs=0.05) and action.std() == pytest.approx(1 / 3**0.5, abs=0.03)
    assert abs(np.corrcoef(action, before)[0, 1]) < 0.05
    assert (action == did).mean() == pytest.approx(0.5, abs=0.05)
    assert all(e.action[0] == done[i * steps] for i, e in enumerate(store)), "nothing slips at first"


def make(episode: Any, action: np.ndarray) -> Any:
    return make_episode(0, frames=False, action=action.astype(np.float32))


def test_a_policy_s_motors_slip_alike_for_all_and_not_at_first():
    said: list[np.ndarray] = []

    def act(obs: np.ndarray) -> np.ndarray:
        said.append(np.random.default_rng(len(said)).random((len(obs), 2)))
        return said[-1]

    policy: Any = SimpleNamespace(model=None, act=act)
    slipping = SlippingPolicy(policy, 0.5, seed=1)
    did = [slipping.act(np.zeros((8, 3))) for _ in range(40)]
    assert np.array_equal(did[0], said[0])
    slips = [(did[t] == did[t - 1]).all(1) for t in range(1, 40)]
    assert all(np.array_equal(did[t][~slips[t - 1]], said[t][~slips[t - 1]]) for t in range(1, 40))
    assert np.mean(slips) == pytest.approx(0.5, abs=0.1)


def row(arm: str, steps: int, score: float, earned: float | None, **changes: Any) -> dict[str, Any]:
    horizons = {"horizons": [1, 10], "one_dream": [0.1, 0.2]}
    energy = {"horizons": [1, 8], "score": [score, 2 * score], "spread": [0.3, 0.4]}
    verdict = {"violations": 0.25, "plausible": 0.5}
    measured = {"horizon": horizons, "energy": energy, "V": verdict, "steps_a_cpu_second": 1234.0}
    mean = None if earned is None else {"mean": earned, "sem": 1.0}
    return {
        "task": "wmenv/Toy-v0", "slip": 0.5, "seed": 0, "arm": arm, "steps": steps, "measured": measured,
        "real_return": mean, "dreamed_return": mean, "command": "python -m benchmarks.fewsteps",
        "hardware": {"cpu": "Test", "cores": 2, "memory_gib": 8, "gpu": None},
    } | changes  # fmt: skip


def test_the_table_has_a_line_an_arm_in_order_and_takes_the_last_row(tmp_path: Path):
    rows = [row("flow_map-2", 2, 0.3, 5.0), row("teacher-8", 8, 0.2, None), row("teacher-8", 8, 0.25, 7.0)]
    rows += [row("teacher-8", 8, 0.35, 9.0, seed=1), row("teacher-1", 1, 0.4, None)]
    path = tmp_path / "fewsteps.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    header, *lines = fewsteps_table.table(fewsteps_table.load(path))
    assert [line[2:5] for line in lines] == [["1", "teacher", "1"], ["2", "teacher", "8"], ["1", "flow map", "2"]]
    cells = [dict(zip(header, line, strict=True)) for line in lines]
    assert [c["energy score at 1"] for c in cells] == ["0.4", "0.3 ± 0.05", "0.3"]
    assert [c["return"] for c in cells] == ["–", "8 ± 1", "5"] and cells[0]["at 50"] == "–"
    assert "steps a second" in readme.study_block("fewsteps", path)
    assert "No results" in readme.study_block("fewsteps", tmp_path / "none.jsonl")
