"""Shows that the state is what it says: named, bounded, grouped, complete, and documented coordinate by coordinate."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

import physics
from physics.tasks.document import document

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("task", physics.task_ids())
def test_every_coordinate_is_the_number_that_its_name_says(task: str) -> None:
    env = physics.TaskEnv(task)
    env.reset(seed=1)
    env.action_space.seed(1)
    for _ in range(20):
        state, _, terminated, _, info = env.step(env.action_space.sample())
        assert state.dtype == np.float32 and env.observation_space.contains(state)
        assert np.array_equal(info["state"], state)
        for value, c in zip(state, env.coordinates, strict=True):
            if c.kind == "goal":
                truth = env.data.geom_xpos.ravel()[c.index]
            elif c.kind in ("cos", "sin"):
                truth = getattr(np, c.kind)(info["qpos"][c.index])
            else:
                truth = info[c.kind][c.index]
            assert value == np.float32(truth), c.label
        if terminated:
            break
    assert len(env.state_names) == len(set(env.state_names)) == len(env.state_groups) == env.observation_space.shape[0]
    assert sorted(set(env.state_groups)) == list(range(max(env.state_groups) + 1))
    assert np.isfinite(env.observation_space.low).all() and np.isfinite(env.observation_space.high).all()
    assert (env.observation_space.low < env.observation_space.high).all()
    env.close()


@pytest.mark.parametrize("task", physics.task_ids())
def test_random_play_stays_inside_the_bounds(task: str) -> None:
    """Bounds are wide enough that nothing saturates under bang-bang actions, the wildest that actuators allow."""
    env = physics.TaskEnv(task)
    env.reset(seed=2)
    random = np.random.default_rng(2)
    low, high = np.array(env.state_low), np.array(env.state_high)
    for _ in range(150):
        action = np.where(random.random(env.action_space.shape) < 0.5, env.action_space.low, env.action_space.high)
        state, _, terminated, _, _ = env.step(action)
        inside = (state > low) & (state < high) | (np.abs(state) == 1)
        assert inside.all(), np.array(env.state_names)[~inside]
        if terminated:
            env.reset()
    env.close()


@pytest.mark.parametrize("task", ["wmenv/InvertedPendulum-v0", "wmenv/Reacher-v0", "wmenv/Hopper-v0"])
def test_state_and_action_decide_the_next_state(task: str) -> None:
    """Two episodes that agree in the state alone, however they came there, go on alike."""
    env, copy = physics.TaskEnv(task), physics.TaskEnv(task)
    env.reset(seed=3)
    env.action_space.seed(3)
    for _ in range(8):
        env.step(env.action_space.sample())
    copy.reset(seed=4)
    for c, value in zip(copy.coordinates, _exact(env), strict=True):
        if c.kind == "cos":
            copy.data.qpos[c.index] = env.data.qpos[c.index] + (0 if _limited(env, c.index) else 2 * np.pi)
        elif c.kind in ("qpos", "qvel"):
            getattr(copy.data, c.kind)[c.index] = value
    mujoco.mj_forward(copy.model, copy.data)
    for _ in range(5):
        action = env.action_space.sample()
        state, reward, ended, _, _ = env.step(action)
        state_, reward_, ended_, _, _ = copy.step(action)
        assert np.allclose(state, state_, atol=1e-4) and reward == pytest.approx(reward_, abs=1e-5) and ended == ended_
        if ended:
            break
    env.close()
    copy.close()


def _limited(env: physics.TaskEnv, index: int) -> bool:
    return bool(env.model.jnt_limited[np.flatnonzero(env.model.jnt_qposadr == index)[0]])


def _exact(env: physics.TaskEnv) -> list[float]:
    return [getattr(env.data, c.kind)[c.index] if c.kind in ("qpos", "qvel") else 0.0 for c in env.coordinates]


def test_states_of_the_tasks_of_the_first_demo() -> None:
    pendulum = physics.TaskEnv("wmenv/InvertedPendulum-v0")
    assert pendulum.state_names == ("qpos:slider [m]", "qpos:hinge [rad]", "qvel:slider [m/s]", "qvel:hinge [rad/s]")
    assert pendulum.state_groups == (0, 1, 0, 1)
    assert pendulum.fps == pytest.approx(25.0)
    reacher = physics.TaskEnv("wmenv/Reacher-v0")
    assert reacher.state_names[:6] == (
        "cos:joint0 [1]",
        "sin:joint0 [1]",
        "cos:joint1 [1]",
        "sin:joint1 [1]",
        "qpos:target_x [m]",
        "qpos:target_y [m]",
    )
    assert reacher.state_groups == (0, 0, 1, 1, 2, 2, 0, 1)
    hopper = physics.TaskEnv("wmenv/Hopper-v0")
    assert "qvel:rootx [m/s]" in hopper.state_names and "qpos:rootx [m]" not in hopper.state_names


def test_the_document_is_up_to_date() -> None:
    assert (ROOT / "docs" / "tasks.md").read_text() == document(), "run: python -m physics.tasks > docs/tasks.md"
