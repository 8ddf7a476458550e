"""What others grade motions by, written anew from their papers for robots: one number a clip, higher is worse.

- PhysDiff's Phys-Err (Yuan et al. 2023, arXiv:2212.02500, section 4): penetration, float and skate in mm, those beyond
  5 mm, summed. Its float is height above the ground, whatever the robot is doing.
- PhyMotion's three scores (Huang et al. 2026, arXiv:2605.14269): kinematic (joint limits, angular speeds), contact
  (penetration, skate and hover, after the clip has been set down on the ground) and dynamic (joint torques, ground
  forces and effort of inverse dynamics). Its constants are a human's; here each part is in units of its mean over real
  clips.
- RLPF's reward (Yue et al. 2025, arXiv:2506.12769): whether a tracking policy that does not know the actions
  follows the clip within 0.5 m.

# B clips, T frames
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..clips.batch import NO_GROUND, ClipBatch
from ..clips.clip import MotionClip
from ..mechanics.control_model import control_model
from ..signals import range_excess, skate
from ..signals.inverse import motor_limits

Array = NDArray[np.float64]
TOLERANCE = 0.005  # m, PhysDiff
TRACKING_LIMIT = 0.5  # m, RLPF
Parts = dict[str, Array]


def baseline_scores(clips: Sequence[MotionClip], reference: Parts | None = None) -> tuple[dict[str, Array], Parts]:
    """Every baseline's number for clips of one task and length.

    Args:
        clips: B clips.
        reference: Mean of each of PhyMotion's parts over real clips, as returned for those; None: `clips` are the real
            ones.

    Returns:
        Name -> (B,), and the reference.
    """
    batch = ClipBatch.stack(control_model(clips[0].task), [c.without_actions() for c in clips])
    parts = _parts(batch)
    reference = reference or {name: np.maximum(value.mean(), 1e-6) for name, value in parts.items()}
    unit = {name: value / reference[name] for name, value in parts.items()}
    out = {"physdiff_phys_err": _phys_err(batch)}
    for axis, names in _AXES.items():
        out[f"phymotion_{axis}"] = np.sum([unit[name] for name in names], axis=0)
    out["rlpf_tracking"] = (batch.followed.errors.worst.max(1) > TRACKING_LIMIT).astype(np.float64)
    return out, reference


def phys_err(clips: Sequence[MotionClip]) -> Array:
    """PhysDiff's Phys-Err (B,) of clips of one task and length, mm."""
    return _phys_err(ClipBatch.stack(control_model(clips[0].task), [c.without_actions() for c in clips]))


def _phys_err(batch: ClipBatch) -> Array:
    contacts = batch.contacts
    depth = np.maximum(contacts.penetration - TOLERANCE, 0)
    height = np.maximum(_height(batch) - TOLERANCE, 0)
    slip = skate(batch) * batch.m.dt
    return 1e3 * (depth.mean(1) + height.mean(1) + slip.mean(1))


def _hover(batch: ClipBatch) -> Array:
    """Height over the ground after the clip's lowest frame has been set down on it, as PhyMotion does."""
    clearance = _height(batch)
    return (clearance - clearance.min(1, keepdims=True)).mean(1)


def _height(batch: ClipBatch) -> Array:
    """Of the lowest point above the ground (B, T), m; 0 where there is no ground."""
    clearance = batch.clearance
    return np.where(clearance < NO_GROUND / 2, clearance, 0)


def _inverse(batch: ClipBatch) -> Parts:
    """Torque over limit, ground force over weight and effort, means (B,), of inverse dynamics at frame rate."""
    m, (b, t) = batch.m, batch.shape
    data, limit = mujoco.MjData(m.model), motor_limits(m)
    force = np.zeros((b, t - 1, m.model.nv))
    acceleration = (batch.qvel[:, 1:] - batch.qvel[:, :-1]) / m.dt
    for i, j in np.ndindex(b, t - 1):
        data.qpos[:], data.qvel[:], data.qacc[:] = batch.qpos[i, j], batch.qvel[i, j], acceleration[i, j]
        mujoco.mj_inverse(m.model, data)
        force[i, j] = data.qfrc_inverse
    driven = limit > 0
    torque = (np.abs(force[..., driven]) / limit[driven]).mean((1, 2)) if driven.any() else np.zeros(b)
    idle = np.abs(force[..., ~driven]).mean((1, 2)) if (~driven).any() else np.zeros(b)
    effort = np.abs(force * batch.qvel[:, 1:])[..., driven].mean((1, 2)) if driven.any() else np.zeros(b)
    return {"torque": torque, "ground": idle / (batch.bodies.mass * 9.81), "effort": effort}


def _parts(batch: ClipBatch) -> Parts:
    """PhyMotion's parts, (B,) each."""
    return {
        "range": range_excess(batch).mean(1),
        "speed": np.abs(batch.qvel).max(-1).mean(1),
        "depth": batch.contacts.penetration.mean(1),
        "slip": skate(batch).mean(1),
        "hover": _hover(batch),
        **_inverse(batch),
    }


_AXES = {
    "kinematic": ("range", "speed"),
    "contact": ("depth", "slip", "hover"),
    "dynamic": ("torque", "ground", "effort"),
}
