"""How far two clips are apart, and noise to hide the difference in: both in units of the spread of real motion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..clip import MotionClip
from ..control_model import control_model
from ..errors import ClipError
from .core import check_fit, edited
from .structure import robot_of

Array = NDArray[np.float64]
LEAST_SPREAD = 1e-3  # m, rad and per second: a coordinate that never moves has its differences counted in these
CHANGED = 0.05


class Spread(NamedTuple):
    """Standard deviation of each coordinate in real motion."""

    qpos: Array  # (nv,) m, rad
    qvel: Array  # (nv,) m/s, rad/s


def spread_of(clips: Sequence[MotionClip]) -> Spread:
    """The spread over all frames of clips of one task; angles of quaternions about the first frame's attitude.

    Raises:
        ClipError: There are no clips, or they are of several tasks.
    """
    if len({clip.task for clip in clips}) != 1:
        raise ClipError(f"clips: expected some of one task, got tasks {sorted({clip.task for clip in clips})}")
    tangent = robot_of(control_model(clips[0].task)).tangent
    away = tangent.difference(clips[0].qpos[0], np.concatenate([clip.qpos for clip in clips]))
    return Spread(away.std(0), np.concatenate([clip.qvel for clip in clips]).std(0))


def departure(real: MotionClip, corrupted: MotionClip, spread: Spread | tuple[Array, Array]) -> float:
    """How far a corrupted clip is from the real one, in the coordinate that differs most: RMS over the common frames.

    Positions (in the tangent space) and velocities in units of their spread, actions in units of half their range. The
    largest coordinate rather than the mean, since a cup that hovers leaves a dozen other numbers as they were.
    Infinite when one of the clips has no actions and the other has.
    """
    robot = robot_of(control_model(real.task))
    frames = min(real.frames, corrupted.frames)
    sizes = [np.maximum(part, LEAST_SPREAD) for part in spread]
    parts = [
        robot.tangent.difference(real.qpos[:frames], corrupted.qpos[:frames]) / sizes[0],
        (corrupted.qvel[:frames] - real.qvel[:frames]) / sizes[1],
    ]
    if (real.action is None) != (corrupted.action is None):
        return np.inf
    if real.action is not None and corrupted.action is not None:
        half = (robot.m.high - robot.m.low) / 2
        parts.append((corrupted.action[: frames - 1] - real.action[: frames - 1]) / half)
    return float(np.sqrt(max(np.square(part).mean(0).max() for part in parts)))


def changes(
    real: MotionClip, corrupted: MotionClip, spread: Spread | tuple[Array, Array], least: float = CHANGED
) -> bool:
    """Whether a corruption changed anything: whether `departure` is above `least` (0.05), or not a number."""
    return not departure(real, corrupted, spread) <= least


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
        robot = robot_of(control_model(clip.task))
        check_fit(clip, robot)
        if any(np.shape(part) != (robot.m.model.nv,) for part in spread):
            raise ClipError(f"spread: expected two vectors of {robot.m.model.nv}, got {[np.shape(p) for p in spread]}")
        rng = np.random.default_rng([seed, 0x6E6F6973, i])
        shake = rng.normal(size=(2, clip.frames, robot.m.model.nv)) * (level * np.stack(spread)[:, None])
        out.append(edited(clip, qpos=robot.tangent.shift(clip.qpos, shake[0]), qvel=clip.qvel + shake[1]))
    return out
