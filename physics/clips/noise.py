"""Errors that a camera, an estimator or a dream leaves in states, in units of how widely real states are spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from ..mechanics.control_model import control_model
from ..mechanics.tangent import Tangent
from .batch import check_robot
from .clip import MotionClip

Array = NDArray[np.float64]
LEAST_SPREAD = 1e-3  # m, rad and per second: what never moves still has errors


class Spread(NamedTuple):
    """Standard deviation of each coordinate in real motion."""

    qpos: Array  # (nv,) m, rad
    qvel: Array  # (nv,) m/s, rad/s


def spread_of(clips: Sequence[MotionClip]) -> Spread:
    """The spread over all frames of clips of one task; angles of quaternions about the first frame's attitude.

    Raises:
        ClipError: There are no clips, or they are of several tasks.
    """
    tasks = {clip.task for clip in clips}
    if len(tasks) != 1:
        raise ClipError(f"clips: expected some of one task, got tasks {sorted(tasks)}")
    tangent = Tangent(control_model(tasks.pop()).model)
    away = tangent.difference(clips[0].qpos[0], np.concatenate([clip.qpos for clip in clips]))
    speed = np.concatenate([clip.qvel for clip in clips])
    return Spread(*(np.maximum(each.std(0), LEAST_SPREAD) for each in (away, speed)))


def error_of(true: Sequence[MotionClip], read: Sequence[MotionClip]) -> Spread:
    """Root mean square errors of clips that were read from something; whole turns of a joint are none."""
    tangent = Tangent(control_model(true[0].task).model)
    away = np.stack([tangent.difference(a.qpos, b.qpos) for a, b in zip(true, read, strict=True)])
    turning = np.abs(away) > np.pi
    away = np.where(turning, (away + np.pi) % (2 * np.pi) - np.pi, away)
    speed = np.stack([b.qvel - a.qvel for a, b in zip(true, read, strict=True)])
    return Spread(*(np.sqrt(np.mean(np.square(each), axis=(0, 1))) for each in (away, speed)))


def add_noise(
    clips: Sequence[MotionClip], level: float, spread: Spread | tuple[Array, Array], seed: int
) -> list[MotionClip]:
    """The clips with independent Gaussian noise on every position and velocity; actions stay.

    Args:
        clips: Of one task.
        level: Standard deviation in units of the spread; 0 gives the clips back untouched.
        spread: (nv,) of positions, in the tangent space, and (nv,) of velocities.
        seed: The same seed gives the same noise; clip i has its own.

    Raises:
        ClipError: A size does not fit, or the level is not a finite number of at least 0.
    """
    if not (isinstance(level, (int, float)) and np.isfinite(level) and level >= 0):
        raise ClipError(f"level: expected a finite number of at least 0, got {level!r}")
    if level == 0:
        return list(clips)
    out = []
    for i, clip in enumerate(clips):
        m = control_model(clip.task)
        check_robot(m, clip)
        nv = m.model.nv
        if any(np.shape(part) != (nv,) for part in spread):
            raise ClipError(f"spread: expected two vectors of {nv}, got {[np.shape(part) for part in spread]}")
        rng = np.random.default_rng([seed, 0x6E6F6973, i])
        shake = rng.normal(size=(2, clip.frames, nv)) * (level * np.stack(spread)[:, None])
        qpos = Tangent(m.model).shift(clip.qpos, shake[0])
        out.append(replace(clip, qpos=qpos, qvel=clip.qvel + shake[1]))
    return out
