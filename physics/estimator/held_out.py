"""How exact an estimator is, coordinate by coordinate, on frames of clips that it was not made from.

# N frames, T frames of a clip, V degrees of freedom
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..mechanics.tangent import Tangent
from .motion import position_error

if TYPE_CHECKING:
    from .estimator import StateEstimator

Array = NDArray[np.float64]
LEAST_R2 = 0.5  # below, a coordinate is called unseen
LEAST_SPREAD = 1e-6  # SI; what moves less is constant


class Film(NamedTuple):
    """Clips with their frames."""

    clips: list[MotionClip]
    frames: list[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutError:
    """How exact one coordinate is on frames of clips that nothing was trained or calibrated on.

    Args:
        name: Such as "qpos:hinge".
        unit: rad, m, rad/s or m/s.
        rms: Root mean square error.
        ends: The same over the first and last frame of each clip, where a velocity has neighbours on one side only.
        plain: The same without the filter: one frame's position, and the difference of its neighbours as velocity.
        spread: Standard deviation of the truth; of turning angles within one turn.
        r2: 1 - (rms / spread)^2; 1.0 where nothing moves.
    """

    name: str
    unit: str
    rms: float
    ends: float
    plain: float
    spread: float
    r2: float


def measure(estimator: StateEstimator, held: Film) -> tuple[HeldOutError, ...]:
    """Errors by coordinate on clips, all of one length, that nothing was trained on: positions, then velocities."""
    model, periods = estimator.control_model.model, estimator.periods
    tangent, names = Tangent(model), dof_names(model)
    places, speeds, alone, slopes = [], [], [], []
    for clip, frames in zip(held.clips, held.frames, strict=True):
        read, plain = estimator.read(frames)[0], estimator.read_poses(frames)
        places.append(position_error(tangent, read.qpos, clip.qpos, periods))
        speeds.append(read.qvel - clip.qvel)
        alone.append(position_error(tangent, plain, clip.qpos, periods))
        slopes.append(_slope(tangent, plain, estimator.control_model.dt) - clip.qvel)
    truth = tangent.difference(np.array(model.qpos0), np.concatenate([clip.qpos for clip in held.clips]))
    safe = np.where(periods > 0, periods, 1.0)
    truth = np.where(periods > 0, truth - np.round(truth / safe) * safe, truth)
    rows = _rows("qpos", names, np.stack(places), np.stack(alone), truth)
    velocity = np.concatenate([clip.qvel for clip in held.clips])
    return (*rows, *_rows("qvel", names, np.stack(speeds), np.stack(slopes), velocity))


def unseen(rows: Sequence[HeldOutError], periods: Array) -> tuple[str, ...]:
    """Names of the coordinates that frames do not tell.

    A whole turn of a hinge is the same pose; a place that is known within a block of the ground is not.
    """
    repeats = np.concatenate((periods, np.zeros(len(rows) - len(periods)))) > 0
    return tuple(
        row.name
        for row, repeating in zip(rows, repeats, strict=True)
        if row.r2 < LEAST_R2 or (repeating and row.unit == "m")
    )


def dof_names(model: mujoco.MjModel) -> list[tuple[str, str]]:
    """(name, unit of the position) of every degree of freedom."""
    names: list[tuple[str, str]] = []
    for joint in range(model.njnt):
        kind, name = mujoco.mjtJoint(model.jnt_type[joint]), model.joint(joint).name or f"joint{joint}"
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            names += [(f"{name}.{axis}", "m") for axis in "xyz"]
        if kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL):
            names += [(f"{name}.w{axis}", "rad") for axis in "xyz"]
        else:
            names.append((name, "rad" if kind == mujoco.mjtJoint.mjJNT_HINGE else "m"))
    return names


def _rows(kind: str, names: list[tuple[str, str]], error: Array, plain: Array, truth: Array) -> list[HeldOutError]:
    """One row a degree of freedom, of errors (clips, T, V) and the truth (N, V)."""

    def rms(values: Array) -> Array:
        return np.sqrt(np.mean(values**2, axis=(0, 1)))

    whole, ends, alone, spread = rms(error), rms(error[:, [0, -1]]), rms(plain), truth.std(0)
    rows = []
    for v, (name, unit) in enumerate(names):
        still = spread[v] < LEAST_SPREAD
        rows.append(
            HeldOutError(
                name=f"{kind}:{name}",
                unit=unit if kind == "qpos" else f"{unit}/s",
                rms=float(whole[v]),
                ends=float(ends[v]),
                plain=float(alone[v]),
                spread=float(spread[v]),
                r2=1.0 if still else float(1 - (whole[v] / spread[v]) ** 2),
            )
        )
    return rows


def _slope(tangent: Tangent, qpos: Array, dt: float) -> Array:
    """Velocities (T, V) as the difference of neighbours, one-sided at the ends."""
    before = np.maximum(np.arange(len(qpos)) - 1, 0)
    after = np.minimum(np.arange(len(qpos)) + 1, len(qpos) - 1)
    return tangent.difference(qpos[before], qpos[after]) / ((after - before)[:, None] * dt)
