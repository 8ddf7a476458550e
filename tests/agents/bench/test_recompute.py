"""R1: both sides do the same work, and both say what the parallel form says."""

from __future__ import annotations

import pytest
import torch

from agents.bench import window
from agents.bench.models import random_dynamics
from agents.bench.plan import Plan
from agents.bench.rows import Point
from agents.bench.window import Sides
from wmenv.sampling import sample_clip
from wmenv.sampling.schedule import autoregressive


@pytest.mark.parametrize(("frames", "steps"), [(1, 1), (3, 1), (6, 3)])
def test_cached_recomputed_and_parallel_are_equal(frames: int, steps: int):
    network = random_dynamics("tiny", frames)
    sides = Sides(network, 3, steps)
    latent = sides.recomputed()
    torch.testing.assert_close(sides.cached(), latent, rtol=0, atol=1e-5)
    torch.testing.assert_close(sides.cached(), latent, rtol=0, atol=1e-5)  # again: the step before changed nothing
    past, action = sides.actions[:, :-1], sides.actions[:, -1:]
    wanted = sample_clip(network, sides.contexts, past, action, sides.noise[:, :1], autoregressive(1, steps))
    torch.testing.assert_close(latent, wanted[:, 0], rtol=0, atol=1e-5)
    assert (latent - sides.base).abs().amax() > 0.01, "an untrained model that only copies would prove nothing"


@pytest.mark.parametrize("changed", ["contexts", "actions", "noise"])
def test_the_recomputed_step_depends_on_all_that_it_is_given(changed: str):
    sides = Sides(random_dynamics("tiny", 3), 2, 1)
    before = sides.recomputed()
    given = getattr(sides, changed)
    given[:, 0] += 0.5
    assert (sides.recomputed() - before).abs().amax() > 1e-4


def test_rows_say_their_sizes_and_whether_a_target_is_reached(plan: Plan, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(window.TARGETS, "cpu", {1: 0.0, 12: 1e9})
    measured = list(window.recomputing(plan))
    rows = [row for row in measured if not isinstance(row, Point)]
    assert [row["setting"] for row in rows] == [
        f"tiny, B={rows}, S={steps}, W={frames}" for rows in (1, 12) for steps, frames in ((1, 6), (4, 6), (1, 3))
    ]
    assert [row["reached"] for row in rows] == [True] * 3 + [False] * 3
    assert all(row["error"] < 1e-5 and row["low"] <= row["value"] <= row["high"] for row in rows)
    points = [point for point in measured if isinstance(point, Point)]
    assert {(point.chart, point.x) for point in points} == {("batch", 1), ("batch", 12), ("frames", 6), ("frames", 3)}
