"""Shows that the estimators that come with the package are as exact as their files say, and small."""

from __future__ import annotations

import numpy as np
import pytest

from physics.clips.real import record_clips
from physics.estimator import StateEstimator
from physics.estimator.build import film
from physics.estimator.estimator import SHIPPED
from physics.estimator.held_out import measure
from physics.estimator.scenes import Scene

SLACK = 3.0  # four clips are few


@pytest.mark.parametrize("name", ["InvertedPendulum-v0", "Reacher-v0", "Hopper-v0", "HalfCheetah-v0"])
def test_errors_are_those_that_the_file_states(name: str):
    estimator = StateEstimator.shipped(f"wmenv/{name}")
    with Scene(estimator.task) as scene:
        held = film(scene, record_clips(estimator.task, 4, 32, seed=501), np.random.default_rng(0))
    for row, stated in zip(measure(estimator, held), estimator.held_out, strict=True):
        assert row.name == stated.name and row.rms <= SLACK * stated.rms + 1e-9, row
    disagreement = np.concatenate(estimator.read_many(held.frames)[1])
    assert np.mean(disagreement > 1) < 0.25 and np.median(disagreement) < 1
    assert ("qpos:rootx" in estimator.unseen) == (name in ("Hopper-v0", "HalfCheetah-v0"))


def test_angles_and_goals_are_read_as_finely_as_promised():
    pendulum, reacher = (StateEstimator.shipped(f"wmenv/{name}-v0").errors for name in ("InvertedPendulum", "Reacher"))
    assert pendulum["qpos:hinge [rad]"] < 0.005
    assert max(reacher["qpos:joint0 [rad]"], reacher["qpos:joint1 [rad]"]) < 0.03
    assert max(reacher["qpos:target_x [m]"], reacher["qpos:target_y [m]"]) < 0.005


def test_weights_are_small():
    sizes = [path.stat().st_size for path in SHIPPED.rglob("*.safetensors")]
    assert max(sizes) < 1.5e6 and sum(sizes) < 5e6
