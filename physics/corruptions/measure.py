"""How far a corrupted clip is from the real one, in units of the spread of real motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..clips.noise import LEAST_SPREAD, Spread
from ..mechanics.control_model import control_model
from .structure import robot_of

Array = NDArray[np.float64]
CHANGED = 0.05


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
