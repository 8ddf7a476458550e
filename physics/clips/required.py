"""The forces that a motion takes in its joints, by inverse dynamics over windows, contacts left out.

# B clips, T frames, nv degrees of freedom
"""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..mechanics.bodies import BodyMotion
from ..mechanics.contacts import Contacts
from ..mechanics.control_model import ControlModel
from .windows import over_any

Array = NDArray[np.float64]
WINDOW = 4  # control steps


class Required(NamedTuple):
    """Of the windows from t to t + w."""

    force: Array  # (B, T - w, nv) mean generalised force, N or Nm
    free: NDArray[np.bool_]  # (B, T - w, nv) nothing touched the joint's tree, so that no contact can have given it


def required_forces(m: ControlModel, qpos: Array, qvel: Array, bodies: BodyMotion, contacts: Contacts) -> Required:
    """The forces of states (B, T, nq), (B, T, nv), whose bodies and contacts are these."""
    frames = qpos.shape[1]
    window = min(WINDOW, frames - 1)
    acceleration = (qvel[:, window:] - qvel[:, :-window]) / (window * m.dt)
    middle = slice(window // 2, frames - (window - window // 2))
    inertial = _inertial(m, qpos[:, middle], acceleration)
    other = np.cumsum(np.pad(bodies.inverse, ((0, 0), (1, 0), (0, 0))), axis=1)
    mean = (other[:, window + 1 :] - other[:, : -window - 1]) / (window + 1)
    return Required(inertial + mean, ~_near(m.model, contacts, window))


def _near(model: mujoco.MjModel, contacts: Contacts, window: int) -> NDArray[np.bool_]:
    """Whether some body of each joint's tree may have touched something in each window, (B, T - w, nv)."""
    root = model.body_rootid[model.dof_bodyid]
    clips, frames = contacts.touching.shape[:2]
    out = np.empty((clips, frames - window, model.nv), bool)
    for tree in np.unique(root):
        flags = contacts.touching[..., model.body_rootid == tree].any(-1)
        out[..., root == tree] = over_any(flags, window)[..., None]
    return out


def _inertial(m: ControlModel, qpos: Array, acceleration: Array) -> Array:
    """Mass matrix times acceleration (B, T, nv), at positions (B, T, nq)."""
    data, out = mujoco.MjData(m.model), np.empty(acceleration.shape)
    for index in np.ndindex(*acceleration.shape[:2]):
        data.qpos[:] = qpos[index]
        mujoco.mj_kinematics(m.model, data)
        mujoco.mj_comPos(m.model, data)
        mujoco.mj_makeM(m.model, data)
        mujoco.mj_mulM(m.model, data, out[index], acceleration[index])
    return out
