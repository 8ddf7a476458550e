"""What the model's own limits forbid: joints beyond their range, speeds beyond the task's, actions beyond the motors'.

# B clips, T frames
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..clips.batch import ClipBatch

Array = NDArray[np.float64]


def range_excess(clips: ClipBatch) -> Array:
    """How far the worst limited joint is beyond its range, (B, T), rad or m."""
    model, out = clips.m.model, np.zeros(clips.shape)
    for joint in np.flatnonzero(model.jnt_limited):
        kind = mujoco.mjtJoint(model.jnt_type[joint])
        low, high = model.jnt_range[joint]
        at = int(model.jnt_qposadr[joint])
        if kind in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            value = clips.qpos[..., at]
            out = np.maximum(out, np.maximum(low - value, value - high))
        elif kind == mujoco.mjtJoint.mjJNT_BALL:
            angle = 2 * np.arccos(np.clip(np.abs(clips.qpos[..., at]), 0, 1))
            out = np.maximum(out, angle - high)
    return out


def speed_excess(clips: ClipBatch, limit: Array) -> Array:
    """How far the worst speed is beyond `limit` (nv,), as a fraction of it, (B, T)."""
    return np.maximum(np.abs(clips.qvel) / limit - 1, 0).max(-1)


def action_excess(clips: ClipBatch) -> Array:
    """How far the worst action is beyond its motor's range, in half ranges, (B, T); frame t has the action after it."""
    out = np.zeros(clips.shape)
    if clips.action is not None:
        half = np.maximum((clips.m.high - clips.m.low) / 2, 1e-9)
        beyond = np.maximum(clips.m.low - clips.action, clips.action - clips.m.high) / half
        out[:, :-1] = np.maximum(beyond, 0).max(-1)
    return out


def norm_error(clips: ClipBatch) -> Array:
    """How far the worst quaternion is from unit length, (B, T)."""
    return clips.norm_error
