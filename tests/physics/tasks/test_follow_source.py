"""Shows that a task is its source: the same seed and actions give the same states, rewards and ends, step for step."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import physics

GYM = {
    "wmenv/InvertedPendulum-v0": "InvertedPendulum-v5",
    "wmenv/Reacher-v0": "Reacher-v5",
    "wmenv/Pusher-v0": "Pusher-v5",
    "wmenv/Hopper-v0": "Hopper-v5",
    "wmenv/HalfCheetah-v0": "HalfCheetah-v5",
    "wmenv/Walker2d-v0": "Walker2d-v5",
    "wmenv/Humanoid-v0": "Humanoid-v5",
    "wmenv/CupLift-v0": "physics.tasks.cup_lift:physics/CupLift-v0",
}
DMC = tuple(task for task in physics.task_ids() if "/dmc-" in task)
STEPS = 150


@pytest.mark.parametrize("task", GYM)
@pytest.mark.parametrize("obs", ["state", "frames"])
def test_gymnasium_tasks_step_for_step(task: str, obs: str) -> None:
    """Drawing frames between the steps changes nothing either."""
    ours = physics.make_task(task, obs=obs, size=16)
    theirs = gymnasium.make(GYM[task])
    theirs.action_space.seed(3)
    ended = 0
    for seed in range(3):
        _, info = ours.reset(seed=seed)
        theirs.reset(seed=seed)
        for _ in range(STEPS // 3):
            data = theirs.unwrapped.data
            assert np.array_equal(info["qpos"], data.qpos) and np.array_equal(info["qvel"], data.qvel)
            assert info["time"] == data.time
            action = theirs.action_space.sample()
            _, reward, terminated, truncated, info = ours.step(action)
            _, reward_, terminated_, truncated_, _ = theirs.step(action)
            assert (reward, terminated, truncated) == (reward_, terminated_, truncated_)
            if terminated or truncated:
                ended += 1
                _, info = ours.reset()
                theirs.reset()
    assert ended > 0 or task in ("wmenv/HalfCheetah-v0", "wmenv/Pusher-v0", "wmenv/CupLift-v0")
    ours.close()
    theirs.close()


@pytest.mark.parametrize("task", DMC)
def test_suite_tasks_step_for_step(task: str) -> None:
    suite = pytest.importorskip("dm_control.suite")
    domain, name = task.removeprefix("wmenv/dmc-").removesuffix("-v0").rsplit("-", 1)
    ours = physics.make_task(task, obs="frames", size=16)
    theirs = suite.load(domain, name, task_kwargs={"random": 5})
    _, info = ours.reset(seed=5)
    theirs.reset()
    ours.action_space.seed(3)
    for step in range(60):
        data = theirs.physics.data.ptr
        assert np.array_equal(info["qpos"], data.qpos) and np.array_equal(info["qvel"], data.qvel)
        if step == 30:  # the stream of random numbers goes on as in the suite
            _, info = ours.reset()
            theirs.reset()
            continue
        action = ours.action_space.sample()
        _, reward, terminated, truncated, info = ours.step(action)
        time_step = theirs.step(action)
        assert reward == time_step.reward
        assert not terminated and not truncated and not time_step.last()
    ours.close()


@pytest.mark.parametrize("task", DMC)
def test_suite_tasks_end_when_the_suite_ends_them(task: str) -> None:
    suite = pytest.importorskip("dm_control.suite")
    domain, name = task.removeprefix("wmenv/dmc-").removesuffix("-v0").rsplit("-", 1)
    theirs = suite.load(domain, name)
    assert theirs._step_limit == 1000


def test_same_seed_same_episode_and_other_seed_another() -> None:
    for task in (name for name in physics.task_ids() if name.startswith("wmenv/")):  # others are other tests' own
        first, second = physics.TaskEnv(task), physics.TaskEnv(task)
        a, b = first.reset(seed=7)[0], second.reset(seed=7)[0]
        assert np.array_equal(a, b)
        first.action_space.seed(0)
        for _ in range(5):
            action = first.action_space.sample()
            a, b = first.step(action)[0], second.step(action)[0]
            assert np.array_equal(a, b)
        assert not np.array_equal(first.reset(seed=8)[0], second.reset(seed=9)[0])
        first.close()
        second.close()
