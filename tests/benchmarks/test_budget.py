"""What the benchmark of budgets compares: equal cost, and scores that are those of the models it names."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks import budget
from tests.wmenv.tiny import make_episode, make_model
from wmenv.metrics import energy_by_horizon


def test_a_tolerance_is_compared_with_fixed_steps_of_its_own_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    kept = [make_episode(seed, frames=False) for seed in range(3)]
    bench = SimpleNamespace(
        study=SimpleNamespace(task="wmenv/Mass-v0"), slip=0.5, seed=0, kept=kept, model=lambda name: model
    )
    monkeypatch.setattr(budget, "STEPS", (2, 4))
    monkeypatch.setattr(budget, "TOLERANCES", (1e9, 1e-9))
    monkeypatch.setattr(budget, "MOST", 4)
    two, four, loose, tight = budget.measure(bench)  # type: ignore[arg-type]
    assert (two["passes"], four["passes"], loose["passes"], tight["passes"]) == (2, 4, 2, 4)
    assert two["score"] != four["score"]
    assert loose["fixed"] == two["score"] and tight["fixed"] == four["score"]
    for one in (loose, tight):
        assert one["ratio"] == pytest.approx(one["score"] / one["fixed"])
    assert tight["score"] != pytest.approx(four["score"])  # noise halves, and does not fall evenly
    (only,) = budget.over_seeds([loose, loose | {"seed": 1, "ratio": 3.0, "passes": 4.0}])
    assert (only["seeds"], only["passes"], only["ratio_high"]) == (2, 3.0, 3.0)
    assert only["ratio_low"] == loose["ratio"]
    assert model.step.__func__ is type(model).step, "the teacher itself is left as it was"
    fewer = energy_by_horizon(budget.with_steps(model, 2), kept)["score"]
    assert two["score"] == pytest.approx(sum(fewer) / len(fewer))
