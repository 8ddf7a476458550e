"""Batched differences and shifts of positions against MuJoCo's own, one pair at a time."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from physics.mechanics.control_model import control_model
from physics.mechanics.tangent import Tangent


@pytest.mark.parametrize("task", ["wmenv/Humanoid-v0", "wmenv/Hopper-v0", "wmenv/Reacher-v0"])
def test_as_mujoco_does_it(task: str):
    model = control_model(task).model
    tangent, rng = Tangent(model), np.random.default_rng(0)
    before = tangent.normalised(rng.normal(size=(40, model.nq)))
    step = rng.normal(size=(40, model.nv)) * np.logspace(-9, 0, 40)[:, None]
    after = tangent.shift(before, step)
    for a, b, d, found in zip(before, after, step, tangent.difference(before, after), strict=True):
        moved, told = a.copy(), np.zeros(model.nv)
        mujoco.mj_integratePos(model, moved, d, 1.0)
        mujoco.mj_differentiatePos(model, told, 1.0, a, b)
        np.testing.assert_allclose(b, moved, atol=1e-12)
        np.testing.assert_allclose(found, told, atol=1e-7)


def test_a_quaternion_and_its_negative_are_one_rotation():
    tangent = Tangent(control_model("wmenv/Humanoid-v0").model)
    qpos = tangent.normalised(np.random.default_rng(1).normal(size=(5, tangent.nq)))
    other = qpos.copy()
    other[:, 3:7] *= -1
    np.testing.assert_allclose(tangent.difference(qpos, other), 0, atol=1e-12)


def test_norms():
    tangent = Tangent(control_model("wmenv/Humanoid-v0").model)
    qpos = np.zeros((3, tangent.nq))
    qpos[0, 3:7], qpos[1, 3:7] = (2, 0, 0, 0), (0.6, 0.8, 0, 0)
    np.testing.assert_allclose(tangent.norm_error(qpos), [1, 0, 1])
    np.testing.assert_allclose(tangent.normalised(qpos)[:, 3:7], [[1, 0, 0, 0], [0.6, 0.8, 0, 0], [1, 0, 0, 0]])
