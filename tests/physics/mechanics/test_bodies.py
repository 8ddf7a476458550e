"""Momentum and energy of batches against MuJoCo's own, and against a falling ball."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from physics.clips.real import record_clips
from physics.mechanics.bodies import body_motion
from physics.mechanics.control_model import control_model
from tests.physics.small_worlds import GRAVITY, batch, falling_ball


@pytest.mark.parametrize("task", ["wmenv/Hopper-v0", "wmenv/Humanoid-v0", "wmenv/Pusher-v0"])
def test_as_mujoco_says_one_state_at_a_time(task: str):
    m, (clip,) = control_model(task), record_clips(task, 1, 6, seed=2)
    found = body_motion(m, clip.qpos[None], clip.qvel[None])
    data = mujoco.MjData(m.model)
    for t in range(clip.frames):
        data.qpos[:], data.qvel[:] = clip.qpos[t], clip.qvel[t]
        mujoco.mj_forward(m.model, data)
        mujoco.mj_subtreeVel(m.model, data)
        mujoco.mj_energyPos(m.model, data)
        mujoco.mj_energyVel(m.model, data)
        np.testing.assert_allclose(found.velocity[0, t], data.subtree_linvel[0], atol=1e-10)
        np.testing.assert_allclose(found.energy[0, t], data.energy.sum(), rtol=1e-12)
        np.testing.assert_allclose(found.inverse[0, t], data.qfrc_bias - data.qfrc_passive, atol=1e-9)


def test_a_falling_ball_keeps_its_energy():
    motion = batch(falling_ball()).bodies
    np.testing.assert_allclose(motion.energy, 2 * (GRAVITY * 3 + (1 + 0.3**2) / 2), rtol=1e-9)
    np.testing.assert_allclose(motion.velocity[0, :, 2], 1 - GRAVITY * np.arange(33) * 0.01, atol=1e-12)
    assert motion.mass == pytest.approx(2)
