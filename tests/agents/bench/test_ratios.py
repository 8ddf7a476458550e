"""The two ways of each ratio end in the same dreams, or in ones as near as their codec promises."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from agents.bench import attention, latency, ragged, resets, stepping
from agents.bench.dreams import Dreams, held_bytes
from agents.bench.models import random_dynamics, untrained_model
from agents.bench.plan import Plan
from agents.bench.rows import Point, line
from agents.bench.timing import clock_of, in_turn, spread, timed


@pytest.fixture(scope="module")
def network():
    return random_dynamics("tiny", 3)


@pytest.mark.parametrize("frames", [1, 3, 8])  # fewer than the window, as many, and around the ring
@pytest.mark.parametrize("other", [{"lazy": False}, {"memory": "rolled"}, {"memory": "rolled", "lazy": False}])
def test_other_ways_dream_the_same(network, frames: int, other: dict):
    ours, theirs = Dreams(network, 2, 2, lead=frames), Dreams(network, 2, 2, lead=frames, **other)
    torch.testing.assert_close(theirs.latent, ours.latent, rtol=0, atol=1e-5)


def test_a_window_that_never_moves_would_be_noticed(network):
    """The dreams above depend on which frames they see, so that equal latents mean equal windows."""
    early, late = (Dreams(network, 2, 1, lead=frames) for frames in (1, 8))
    assert float((early.latent - late.latent).abs().max()) > 1e-3


def test_pages_dream_as_near_to_the_ring_as_their_codec_promises(network):
    ring = Dreams(network, 2, 1, lead=8)
    far = {name: Dreams(network, 2, 1, lead=8, memory=name) for name in attention.CODECS}
    errors = {name: float((dreams.latent - ring.latent).abs().max()) for name, dreams in far.items()}
    assert errors["fp32"] < 1e-5 < errors["bf16"] < errors["int4"] < 0.1
    assert held_bytes(far["int4"].cache) < held_bytes(far["int8"].cache) < held_bytes(far["bf16"].cache)


def test_a_dream_alone_is_the_first_of_many(network):
    torch.testing.assert_close(Dreams(network, 1, 2).latent, Dreams(network, 5, 2).latent[:1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("memory", resets.MEMORIES)
def test_resets_leave_other_rows_as_they_are(memory: str):
    assert resets.difference(untrained_model("tiny", "frames"), 20, resets.MEMORIES[memory]) == 0


@pytest.mark.parametrize(
    ("measure", "parts"),
    [
        (stepping.lazy_commit, 4),
        (stepping.ring_slots, 2),
        (stepping.throughput, 6),
        (stepping.one_batch, 1),
        (attention.shared_prefix, 2),
        (attention.few_bits, 7),
        (resets.resets, 2),
        (ragged.ragged, 2),
    ],
)
def test_measurements_are_whole_and_both_sides_agree(measure, parts: int, plan: Plan):
    measured = list(measure(plan))
    rows = [row for row in measured if not isinstance(row, Point)]
    assert len(rows) == parts and all(row["value"] > -1 and row["ours"] > 0 for row in rows)
    for row in rows:
        exact = row["id"] not in ("R4", "R8") or "fp32 pages" in row["setting"]
        assert not exact or row["error"] < 1e-5, row
        assert (row["target"] is None) == (row["reached"] is None)
    points = [point for point in measured if isinstance(point, Point)]
    assert all(point.x > 0 and point.y > 0 for point in points), "the charts are logarithmic"


def test_one_dream_is_timed_frame_by_frame(plan: Plan, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(latency, "FEWEST", 10)
    rows = list(latency.one_dream(plan))
    assert [row["setting"] for row in rows[::3]] == ["tiny, B=1, S=1", "tiny, B=1, S=4"]
    for whole in (rows[:3], rows[3:]):
        mean, median, slowest = (row["value"] for row in whole)
        assert slowest <= min(mean, median)
    assert [row["target"] for row in rows[:3]] == [None, None, ">= 20"]


def test_half_precision_dreams_nearly_the_same(plan: Plan):
    row, point = stepping.in_half(plan, "tiny", 2, 1)
    assert 0 < row["error"] < 0.05 and row["setting"].endswith("bf16 autocast") and "bf16" in point.line


def test_a_dream_goes_on_as_far_as_the_plan_says(plan: Plan):
    *points, memory, row = stepping.late_frames(plan)
    assert [point.x for point in points] == [1, 10, 12] and row["target"] == "<= 1.05"
    assert memory["plain"] > 1e7 and memory["value"] == pytest.approx(memory["plain"] / memory["ours"], rel=1e-3)


def test_fewer_bits_are_smaller_and_pay_for_it(plan: Plan):
    int8, int4, int2 = islice(attention.few_bits(plan), 3)
    assert int8["value"] < int4["value"] < int2["value"] and 0 < int8["error"] < int4["error"] < int2["error"] < 1


def test_a_line_says_whether_its_target_is_reached():
    row = line("R2", "part", "setting", [1.0, 1.2, 1.4], target=1.25)
    assert (row["value"], row["target"], row["reached"]) == (1.2, ">= 1.25", False)
    assert row["low"] < row["value"] < row["high"]
    assert line("R10", "part", "setting", [0.01], target=0.02, at_most=True)["reached"] is True
    assert line("R2", "part", "setting", [2.0])["reached"] is None
    with pytest.raises(ValueError, match="finite"):
        line("R2", "part", "setting", [2.0], error=float("nan"))


def test_sides_run_in_turn_and_the_first_round_does_not_count(monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []
    sides = {name: lambda name=name: seen.append(name) for name in "ab"}
    times = in_turn(sides, rounds=2, calls=3)
    assert "".join(seen) == "aaabbb" * 3 and {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}
    assert spread([4.0, 1.0, 2.0, 3.0, 5.0]) == (2.0, 4.0) and spread([7.0]) == (7.0, 7.0)
    waits: list[None] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(None))
    in_turn(sides, rounds=1, calls=5, clock=clock_of("cuda"))
    assert len(waits) == 2 * 2 * 2, "the clock waits for the GPU before and after each side of each round"
    assert 3 <= len(timed(sides, seconds=1e-6, device="cpu")["a"]) <= 15
