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

from ..clips.batch import ClipBatch
from ..clips.windows import over_windows
from ..mechanics.control_model import ControlModel

Array = NDArray[np.float64]


def motor_excess(clips: ClipBatch) -> Array:
    """(required - limit) / limit of the worst motor-driven joint, (B, T); 0 within the limits."""
    limit = motor_limits(clips.m)
    driven = limit > 0
    if not driven.any():
        return np.zeros(clips.shape)
    force, free = clips.required
    excess = np.maximum(np.abs(force[..., driven]) / limit[driven] - 1, 0)
    return over_windows(np.where(free[..., driven], excess, 0).max(-1), clips.shape[1])


def ghost_force(clips: ClipBatch) -> Array:
    """Force on joints without a motor, which nothing exerts, in units of what an acceleration of g takes, (B, T)."""
    limit = motor_limits(clips.m)
    idle = limit == 0
    if not idle.any():
        return np.zeros(clips.shape)
    force, free = clips.required
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
