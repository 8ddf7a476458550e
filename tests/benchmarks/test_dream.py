"""The dream's benchmark: what is counted, that ratios are taken within a round, and that it runs."""

from __future__ import annotations

from pathlib import Path

from agents.speed import RealSteps, steps_a_second
from benchmarks.dream import REAL, brief_models, measure, table
from tests.wmenv.tiny import make_model

TASK = "wmenv/InvertedPendulum-v0"


def test_ratios_are_taken_within_a_round():
    rates = {REAL: [100.0, 200.0, 100.0], ("tiny", 16): [50.0, 100.0, 50.0], ("tiny", 256): [600.0, 1200.0, 400.0]}
    few, many = table(rates)
    assert [(row["preset"], row["num_dreams"]) for row in (few, many)] == [("tiny", 16), ("tiny", 256)]
    assert few["ratio"] == few["ratio_low"] == 0.5 and few["target"] is None and few["reached"] is None
    assert many["ratio"] == 6.0 and many["reached"] is True and many["ratio_low"] == 5.0
    assert table(rates | {("tiny", 256): [400.0, 800.0, 400.0]})[1]["reached"] is False


def test_it_runs_from_recording_to_rates(tmp_path: Path):
    models = brief_models(TASK, tmp_path, steps=60, updates=1)
    assert [(m.config.modality, m.config.width) for m in models.values()] == [("frames", 128), ("frames", 192)]
    rates = measure(TASK, models, (2,), rounds=2, seconds=0.01, processes=1)
    assert set(rates) == {REAL, ("nano", 2), ("tiny", 2)} and all(rate > 0 for side in rates.values() for rate in side)


def test_the_real_task_counts_every_environment_and_can_be_paused():
    real = RealSteps(TASK, make_model(), processes=1)
    try:
        assert real.step() == 100
        real.pause()
        real.pause()
        assert real.step() == real.step() == 100
        assert steps_a_second(real.step, 0.01) > 0
    finally:
        real.close()


def test_a_rate_is_steps_over_time():
    calls: list[int] = []
    rate = steps_a_second(lambda: calls.append(1) or 7, 0.0, warm_up=2)
    assert len(calls) == 3 and rate > 0
