"""The verifier for pictures: an estimator reads the motion, the verifier judges it, and doubt about the reading counts.

# T frames
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..clips.film import film
from ..clips.real import record_clips
from ..estimator import StateEstimator
from ..mechanics.control_model import ControlModel
from ..world import World
from .calibrate import calibrate
from .calibration import Calibration
from .report import PhysicsReport
from .shipped import SEED
from .verifier import MotionVerifier

Array = NDArray[np.float64]
CLIPS, FRAMES, SIZE = 192, 32, 64


class FrameVerifier:
    """Judges films of one task by physics.

    Args:
        estimator: Reads the films; it is frozen.
        calibration: What films of real clips look like to the estimator and the verifier; None: made now of recorded
            clips, which are drawn and read: half a minute.
        worlds: That the robot might live in, see `MotionVerifier`.

    Raises:
        ClipError: The calibration is another task's.
    """

    def __init__(
        self,
        estimator: StateEstimator,
        calibration: Calibration | None = None,
        worlds: Sequence[World | ControlModel] = (),
    ) -> None:
        self.estimator = estimator
        if calibration is None:
            real = record_clips(estimator.task, CLIPS, FRAMES, seed=SEED)
            calibration = calibrate(real, read=partial(read_films, estimator), worlds=worlds)
        self.motion = MotionVerifier(estimator.task, calibration=calibration, worlds=worlds)
        """What judges the motions that are read."""

    @property
    def task(self) -> str:
        """Id of the task."""
        return self.estimator.task

    @property
    def calibration(self) -> Calibration:
        """What films of real clips look like."""
        return self.motion.calibration

    @property
    def digest(self) -> str:
        """SHA-256 of estimator, calibration and worlds, see `MotionVerifier.digest`."""
        return hashlib.sha256((self.estimator.digest + self.motion.digest).encode()).hexdigest()

    def verify(self, frames: Sequence[NDArray[np.uint8]], actions: Sequence[Any] | None = None) -> list[PhysicsReport]:
        """A report for each film.

        Args:
            frames: Of each film (T, 64, 64, 3) uint8, one frame a control step.
            actions: Of each film (T - 1, nu); None: unknown.

        Raises:
            EstimatorError: Frames or actions are not what was expected.
        """
        return self.motion.verify(*self.estimator.read_many(frames, actions))


def read_films(estimator: StateEstimator, clips: Sequence[MotionClip]) -> tuple[list[MotionClip], list[Array]]:
    """What is read from films of clips whose states are known, and how unsure the reading is, (T,) of each."""
    return estimator.read_many([film(clip, size=SIZE) for clip in clips], [clip.action for clip in clips])
