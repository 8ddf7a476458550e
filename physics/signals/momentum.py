"""Newton's second law for what floats freely: only the ground can push a robot, from below and with friction.

Impulses over windows instead of forces at frames: exact for any contact in between, and errors of the velocities are
divided by the whole window.

# B clips, T frames
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..clips.batch import NEAR, ClipBatch
from ..clips.windows import over_any, over_windows

Array = NDArray[np.float64]
WINDOW = 8  # control steps


def unexplained_force(clips: ClipBatch) -> Array:
    """The part of the mean external force of a window that no contact can give, in units of m g, (B, T).

    In a window in which nothing comes near the ground all of it; else its distance to the friction cone: the ground
    never pulls, and sliding forces are bounded by Coulomb's law. Zero for robots that are bolted to the world.
    """
    frames = clips.shape[1]
    if not floats(clips.m.model):
        return np.zeros(clips.shape)
    force = mean_force(clips)
    touching = over_any(clips.clearance < NEAR, frames - force.shape[1])
    cone = cone_distance(force, float(clips.m.model.geom_friction[:, 0].max()))
    return over_windows(np.where(touching, cone, np.linalg.norm(force, axis=-1)), frames)


def mean_force(clips: ClipBatch) -> Array:
    """Mean external force on the centre of mass in the windows from t to t + w, (B, T - w, 3), in units of m g."""
    window = min(WINDOW, clips.shape[1] - 1)
    gravity = np.asarray(clips.m.model.opt.gravity)
    change = clips.bodies.velocity[:, window:] - clips.bodies.velocity[:, :-window]
    return (change / (window * clips.m.dt) - gravity) / max(float(np.linalg.norm(gravity)), 1.0)


def cone_distance(force: Array, friction: float) -> Array:
    """Distance (...) of forces (..., 3) to the cone |f_xy| <= friction f_z."""
    sideways, up = np.linalg.norm(force[..., :2], axis=-1), force[..., 2]
    slope = (sideways - friction * up) / np.sqrt(1 + friction**2)
    tip = friction * sideways <= -up
    return np.where(tip, np.linalg.norm(force, axis=-1), np.maximum(slope, 0))


def floats(model: mujoco.MjModel) -> bool:
    """Whether all that moves hangs on one root that rises and falls by itself: a free joint or an unactuated slide."""
    roots = {int(model.body_rootid[b]) for b in model.jnt_bodyid}
    if len(roots) != 1:
        return False
    driven = {
        int(model.actuator_trnid[a, 0])
        for a in range(model.nu)
        if mujoco.mjtTrn(model.actuator_trntype[a]) == mujoco.mjtTrn.mjTRN_JOINT and model.actuator_gear[a].any()
    }
    for joint in range(model.njnt):
        if int(model.jnt_bodyid[joint]) not in roots or joint in driven:
            continue
        kind = mujoco.mjtJoint(model.jnt_type[joint])
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            return True
        if kind == mujoco.mjtJoint.mjJNT_SLIDE and abs(model.jnt_axis[joint][2]) > 0.9:
            return True
    return False
