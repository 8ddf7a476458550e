"""Runs both public environment checkers over every task and both kinds of observation, and the vector faces."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

import physics
import wmenv  # noqa: F401  registers the ids


@pytest.mark.parametrize("obs", ["state", "frames"])
@pytest.mark.parametrize("task", physics.task_ids())
@pytest.mark.filterwarnings("ignore:.*symmetric and normalized.*:UserWarning")  # the units of an action are the task's
def test_checkers(task: str, obs: str) -> None:
    env = gymnasium.make(task, obs=obs, size=36, render_mode="rgb_array")
    gymnasium_check(env.unwrapped)
    sb3_check(env.unwrapped)
    env.close()


def test_limits_of_time_are_those_of_the_table() -> None:
    env = gymnasium.make("wmenv/Reacher-v0")
    env.reset(seed=0)
    for step in range(1, 51):
        _, _, terminated, truncated, _ = env.step(np.zeros(2, np.float32))
        assert (terminated, truncated) == (False, step == 50)
    env.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Gymnasium's default on Linux, so it has to work
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_environments_see_what_single_ones_see(mode: str) -> None:
    """The single one has drawn before the others are forked: they must not draw on its context."""
    single = gymnasium.make("wmenv/Reacher-v0", obs="frames")
    first = single.reset(seed=11)[0]
    vector = gymnasium.make_vec("wmenv/Reacher-v0", num_envs=2, vectorization_mode=mode, obs="frames")
    frames, info = vector.reset(seed=11)
    assert frames.shape == (2, 64, 64, 3) and np.array_equal(frames[0], first)
    assert info["state"].shape == (2, 8) and not np.array_equal(frames[0], frames[1])
    action = np.full((2, 2), 0.5, np.float32)
    for _ in range(3):
        frames = vector.step(action)[0]
        assert np.array_equal(frames[0], single.step(action[0])[0])
    vector.close()
    single.close()
