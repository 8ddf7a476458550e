"""What inverse dynamics asks of motors, and of joints that have none, in windows in which their tree touches nothing.

In contact it would mostly show how stiff MuJoCo's contacts are (measured: worse than chance on most corruptions), so
windows with a contact are left out: `momentum.py` and the replays speak about those. A tree is all that hangs together
by joints, a robot or an object: so an object that moves while nothing is near it is found here.

# B clips, T frames, nv degrees of freedom
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..clip_batch import ClipBatch
from ..control_model import ControlModel
from .kinematic import over_windows
from .momentum import over_any

Array = NDArray[np.float64]
WINDOW = 4  # control steps


def motor_excess(clips: ClipBatch) -> Array:
    """(required - limit) / limit of the worst motor-driven joint, (B, T); 0 within the limits."""
    limit = motor_limits(clips.m)
    driven = limit > 0
    if not driven.any():
        return np.zeros(clips.shape)
    force, free = _required(clips)
    excess = np.maximum(np.abs(force[..., driven]) / limit[driven] - 1, 0)
    return over_windows(np.where(free[..., driven], excess, 0).max(-1), clips.shape[1])


def ghost_force(clips: ClipBatch) -> Array:
    """Force on joints without a motor, which nothing exerts, in units of what an acceleration of g takes, (B, T)."""
    limit = motor_limits(clips.m)
    idle = limit == 0
    if not idle.any():
        return np.zeros(clips.shape)
    force, free = _required(clips)
    usual = 1.0 / np.maximum(clips.m.model.dof_invweight0[idle], 1e-9)  # effective inertia, for 1 m/s2 or 1 rad/s2
    gravity = max(float(np.linalg.norm(clips.m.model.opt.gravity)), 1.0)
    size = np.where(free[..., idle], np.abs(force[..., idle]) / (usual * gravity), 0)
    return over_windows(size.max(-1), clips.shape[1])


def motor_limits(m: ControlModel) -> Array:
    """Largest generalised force (nv,) of the motors at rest, N or Nm; 0 where there is none."""
    data = mujoco.MjData(m.model)
    limit = np.zeros(m.model.nv)
    for end in (m.low, m.high):
        data.ctrl[:] = end
        mujoco.mj_forward(m.model, data)
        limit = np.maximum(limit, np.abs(data.qfrc_actuator))
    return limit


def _required(clips: ClipBatch) -> tuple[Array, NDArray[np.bool_]]:
    """Mean generalised force of the windows, contacts left out, and whether the joint's tree was free of any.

    Both (B, T - w, nv).
    """
    frames = clips.shape[1]
    window = min(WINDOW, frames - 1)
    acceleration = (clips.qvel[:, window:] - clips.qvel[:, :-window]) / (window * clips.m.dt)
    middle = slice(window // 2, frames - (window - window // 2))
    inertial = _inertial(clips.m, clips.qpos[:, middle], acceleration)
    other = np.cumsum(np.pad(clips.bodies.inverse, ((0, 0), (1, 0), (0, 0))), axis=1)
    mean = (other[:, window + 1 :] - other[:, : -window - 1]) / (window + 1)
    return inertial + mean, ~_near(clips, window)


def _near(clips: ClipBatch, window: int) -> NDArray[np.bool_]:
    """Whether some body of each joint's tree may have touched something in each window, (B, T - w, nv)."""
    model = clips.m.model
    root = model.body_rootid[model.dof_bodyid]
    out = np.empty((clips.shape[0], clips.shape[1] - window, model.nv), bool)
    for tree in np.unique(root):
        flags = clips.contacts.touching[..., model.body_rootid == tree].any(-1)
        out[..., root == tree] = over_any(flags, window)[..., None]
    return out


def _inertial(m: ControlModel, qpos: Array, acceleration: Array) -> Array:
    """Mass matrix times acceleration (B, T, nv), at positions (B, T, nq)."""
    data, out = mujoco.MjData(m.model), np.empty(acceleration.shape)
    for index in np.ndindex(*acceleration.shape[:2]):
        data.qpos[:] = qpos[index]
        mujoco.mj_fwdPosition(m.model, data)
        mujoco.mj_mulM(m.model, data, out[index], acceleration[index])
    return out
