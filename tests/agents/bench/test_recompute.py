"""The two sides of the cache's benchmark do the same work, and both say what the parallel form says."""

from __future__ import annotations

import pytest
import torch

from benchmarks import cache
from benchmarks.cache import Sides, measure, random_dynamics
from benchmarks.common import in_turn, spread
from wmenv.sampling import sample_clip
from wmenv.sampling.schedule import autoregressive


@pytest.mark.parametrize(("window", "steps"), [(1, 1), (3, 1), (6, 3)])
def test_cached_recomputed_and_parallel_are_equal(window: int, steps: int):
    dynamics = random_dynamics("tiny", window)
    sides = Sides(dynamics, 3, steps)
    latent = sides.recomputed()
    torch.testing.assert_close(sides.cached(), latent, rtol=0, atol=1e-5)
    torch.testing.assert_close(sides.cached(), latent, rtol=0, atol=1e-5)  # again: the step before changed nothing
    past, action = sides.actions[:, :-1], sides.actions[:, -1:]
    wanted = sample_clip(dynamics, sides.contexts, past, action, sides.noise[:, :1], autoregressive(1, steps))
    torch.testing.assert_close(latent, wanted[:, 0], rtol=0, atol=1e-5)
    assert (latent - sides.base).abs().amax() > 0.01, "an untrained model that only copies would prove nothing"


@pytest.mark.parametrize("changed", ["contexts", "actions", "noise"])
def test_the_recomputed_step_depends_on_all_that_it_is_given(changed: str):
    sides = Sides(random_dynamics("tiny", 3), 2, 1)
    before = sides.recomputed()
    given = getattr(sides, changed)
    given[:, 0] += 0.5
    assert (sides.recomputed() - before).abs().amax() > 1e-4


def test_a_row_says_whether_its_target_is_reached(monkeypatch: pytest.MonkeyPatch):
    for target, reached in ((0.0, True), (1e9, False)):
        monkeypatch.setitem(cache.TARGETS, 1, target)
        row = measure("tiny", 6, 1, seconds=0.02)
        assert row["reached"] is reached and row["of_the_preset"] is True and row["max_difference"] < 1e-5
        assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]


def test_sides_run_in_turn_and_the_first_round_does_not_count():
    seen: list[str] = []
    sides = {name: lambda name=name: seen.append(name) for name in "ab"}
    times = in_turn(sides, rounds=2, calls=3)
    assert "".join(seen) == "aaabbb" * 3 and {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}
    assert spread([4.0, 1.0, 2.0, 3.0, 5.0]) == (2.0, 4.0) and spread([7.0]) == (7.0, 7.0)
