"""What a tracker is told: the motion to follow, mended where it holds no numbers, and the part of it that lies ahead.

# B clips, T frames, H frames ahead
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..mechanics.control_model import ControlModel
from ..mechanics.tangent import Tangent

Array = NDArray[np.float64]
LARGEST = 1e6
"""m, rad, m/s, rad/s: a state beyond it is as good as not finite, and would overflow when it is squared."""


class Ahead(NamedTuple):
    """The next H frames of every clip; what lies beyond a clip's end repeats its last frame and is not `valid`."""

    qpos: Array  # (B, H, nq)
    qvel: Array  # (B, H, nv)
    action: Array | None  # (B, H, nu), action h leads to frame h
    valid: NDArray[np.bool_]  # (B, H)


class Reference(NamedTuple):
    """Motions of one length to be followed, all numbers finite."""

    qpos: Array  # (B, T, nq), unit quaternions
    qvel: Array  # (B, T, nv)
    action: Array | None  # (B, T - 1, nu)
    sound: NDArray[np.bool_]  # (B, T), False where the clip's state was no usable number

    def ahead(self, frame: int | NDArray[np.intp], horizon: int, clip: NDArray[np.intp] | None = None) -> Ahead:
        """Frames `frame` + 1 .. `frame` + H of clips `clip` (B,), by default of all; `frame` is one number, or (B,)."""
        rows = (np.arange(len(self.qpos)) if clip is None else clip)[:, None]
        last = self.qpos.shape[1] - 1
        wanted = np.broadcast_to(np.reshape(frame, (-1, 1)) + np.arange(1, horizon + 1), (len(rows), horizon))
        index = np.minimum(wanted, last)
        action = None if self.action is None else self.action[rows, index - 1]
        return Ahead(self.qpos[rows, index], self.qvel[rows, index], action, wanted <= last)


def usable(qpos: Array, qvel: Array) -> NDArray[np.bool_]:
    """Which states (..., nq), (..., nv) are finite and of a sane size, (...)."""
    with np.errstate(invalid="ignore"):
        return np.logical_and((np.abs(qpos) <= LARGEST).all(-1), (np.abs(qvel) <= LARGEST).all(-1))


def reference_of(m: ControlModel, qpos: Array, qvel: Array, action: Array | None = None) -> Reference:
    """The reference of B clips: a state that is no number repeats the last one that is, at first the model's own.

    Args:
        m: The robot.
        qpos: (B, T, nq).
        qvel: (B, T, nv).
        action: (B, T - 1, nu) or None; a number that is not finite becomes the middle of its range.
    """
    sound = usable(qpos, qvel)
    source = np.maximum.accumulate(np.where(sound, np.arange(qpos.shape[1]), -1), axis=1)
    rows = np.arange(len(qpos))[:, None]
    none = (source < 0)[..., None]
    q = np.where(none, m.model.qpos0, qpos[rows, source])
    v = np.where(none, 0.0, qvel[rows, source])
    if action is not None:
        action = np.clip(np.where(np.isfinite(action), action, (m.low + m.high) / 2), m.low, m.high)
    return Reference(Tangent(m.model).normalised(q), v, action, sound)
