"""What a learned tracker sees: its own state and how far the clip's next states are from it, as plain numbers.

# B rows, O features
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..mechanics.control_model import ControlModel
from ..mechanics.tangent import Tangent
from .reference import Ahead

Array = NDArray[np.float64]
OFFSETS = (1, 2, 4)  # control steps ahead
LARGEST_FEATURE = 1e3  # so that an agent is never shown an infinity


class Features:
    """Reads states and references of one robot; translations along the ground, on which nothing depends, are left out.

    Args:
        m: The robot.
    """

    horizon = max(OFFSETS)

    def __init__(self, m: ControlModel) -> None:
        self._tangent = Tangent(m.model)
        self._plain, self._round = _coordinates(m.model)
        width = m.model.nv
        self.size = len(self._plain) + 2 * len(self._round) + width + len(OFFSETS) * (2 * width + 1)
        """O."""

    def __call__(self, qpos: Array, qvel: Array, ahead: Ahead) -> Array:
        """(B, O) from states (B, nq), (B, nv); m, rad, their rates, cosines and sines; 1 where a frame ahead exists."""
        parts = [qpos[:, self._plain], np.cos(qpos[:, self._round]), np.sin(qpos[:, self._round]), qvel]
        for offset in OFFSETS:
            parts.append(self._tangent.difference(qpos, ahead.qpos[:, offset - 1]))
            parts.append(ahead.qvel[:, offset - 1] - qvel)
            parts.append(ahead.valid[:, offset - 1, None].astype(np.float64))
        return np.clip(np.concatenate(parts, axis=1), -LARGEST_FEATURE, LARGEST_FEATURE)


def _coordinates(model: mujoco.MjModel) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices into qpos of what is shown as it is, and of hinges without limits, shown as cosine and sine."""
    plain: list[int] = []
    turning: list[int] = []
    for j in range(model.njnt):
        kind, at = mujoco.mjtJoint(model.jnt_type[j]), int(model.jnt_qposadr[j])
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            plain += range(at + 2, at + 7)
        elif kind == mujoco.mjtJoint.mjJNT_BALL:
            plain += range(at, at + 4)
        elif kind == mujoco.mjtJoint.mjJNT_HINGE and not model.jnt_limited[j]:
            turning.append(at)
        elif not _along_the_ground(model, j, kind):
            plain.append(at)
    return np.array(plain, np.intp), np.array(turning, np.intp)


def _along_the_ground(model: mujoco.MjModel, joint: int, kind: mujoco.mjtJoint) -> bool:
    of_the_root = model.body_parentid[model.jnt_bodyid[joint]] == 0
    level = abs(float(model.jnt_axis[joint][2])) < 1e-6
    return kind == mujoco.mjtJoint.mjJNT_SLIDE and bool(of_the_root and level and not model.jnt_limited[joint])
