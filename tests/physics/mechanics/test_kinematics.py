"""Batched kinematics are MuJoCo's own, bit for bit, and their velocities are the derivative of their positions."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from physics.mechanics.control_model import control_model
from physics.mechanics.kinematics import CHUNK, body_poses, body_states
from physics.mechanics.tangent import Tangent

TASKS = ("wmenv/Hopper-v0", "wmenv/Humanoid-v0", "wmenv/Pusher-v0")


def states(task: str, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    m = control_model(task).model
    rng = np.random.default_rng(seed)
    qpos = Tangent(m).shift(m.qpos0, rng.normal(0, 0.5, (rows, m.nv)))
    return qpos, rng.normal(0, 2.0, (rows, m.nv))


@pytest.mark.parametrize("task", TASKS)
def test_poses_are_those_of_mj_kinematics(task: str):
    m = control_model(task)
    qpos, _ = states(task, 12)
    xpos, xquat = body_poses(m, qpos.reshape(3, 4, -1))
    data = mujoco.MjData(m.model)
    for i, q in enumerate(qpos):
        data.qpos[:] = q
        mujoco.mj_kinematics(m.model, data)
        assert np.array_equal(xpos[i // 4, i % 4], data.xpos)
        assert np.array_equal(xquat[i // 4, i % 4], data.xquat)


@pytest.mark.parametrize("task", TASKS)
def test_velocities_are_the_derivative_of_positions(task: str):
    m, step = control_model(task), 1e-6
    qpos, qvel = states(task, 6)
    tangent = Tangent(m.model)
    motion = body_states(m, qpos, qvel)
    before, _ = body_poses(m, tangent.shift(qpos, -step * qvel))
    after, _ = body_poses(m, tangent.shift(qpos, step * qvel))
    np.testing.assert_allclose(motion.linear, (after - before) / (2 * step), atol=1e-6)
    data = mujoco.MjData(m.model)
    data.qpos[:], data.qvel[:] = qpos[0], qvel[0]
    mujoco.mj_forward(m.model, data)
    for body in range(1, m.model.nbody):
        out = np.empty(6)
        mujoco.mj_objectVelocity(m.model, data, mujoco.mjtObj.mjOBJ_XBODY, body, out, 0)
        np.testing.assert_allclose(np.r_[motion.angular[0, body], motion.linear[0, body]], out, atol=1e-9)


def test_rows_do_not_see_each_other_nor_the_threads():
    m = control_model("wmenv/Humanoid-v0")
    qpos, qvel = states("wmenv/Humanoid-v0", 9)
    together = body_states(m, qpos, qvel, threads=2)
    for i in range(9):
        for one, many in zip(body_states(m, qpos[i], qvel[i]), together, strict=True):
            assert np.array_equal(one, many[i])


def test_a_state_that_is_not_finite_gives_nan_and_spoils_no_other():
    m = control_model("wmenv/Hopper-v0")
    qpos, _ = states("wmenv/Hopper-v0", 5)
    clean, _ = body_poses(m, qpos)
    qpos[1, 2], qpos[3, 0] = np.nan, np.inf
    xpos, xquat = body_poses(m, qpos)
    assert np.isnan(xpos[[1, 3]]).all() and np.isnan(xquat[[1, 3]]).all()
    assert np.array_equal(xpos[[0, 2, 4]], clean[[0, 2, 4]])


def test_no_states_and_more_than_a_chunk():
    m = control_model("wmenv/InvertedPendulum-v0")
    assert body_poses(m, np.empty((0, 2)))[0].shape == (0, 3, 3)
    qpos = np.zeros((CHUNK + 1, 2))
    qpos[:, 0] = np.linspace(-1, 1, CHUNK + 1)
    xpos, _ = body_poses(m, qpos)
    np.testing.assert_allclose(xpos[:, 1, 0], qpos[:, 0], atol=1e-15)
