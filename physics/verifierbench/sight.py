"""How clips reach the verifier: as states with errors of a stated size, or as films that an estimator reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..clips.noise import Spread, add_noise
from ..estimator import StateEstimator
from ..verifier.frames import FrameVerifier, read_films
from ..verifier.report import PhysicsReport
from ..verifier.verifier import MotionVerifier

Array = NDArray[np.float64]
FILMS = "frames"


class Sight(Protocol):
    """What a benchmark sees clips by."""

    spread: Spread

    def see(self, clips: Sequence[MotionClip], seed: int) -> tuple[list[MotionClip], list[Array] | None]:
        """The clips as they are seen, and how unsure that is."""
        ...

    def judge(self, clips: Sequence[MotionClip], unsure: Sequence[Array] | None) -> list[PhysicsReport]:
        """The reports of clips that have been seen."""
        ...


class NoisyStates:
    """States with Gaussian errors of `level` spreads."""

    def __init__(self, task: str, level: float) -> None:
        self._level, self._verifier = level, MotionVerifier(task, noise=level)
        self.spread = _spread(self._verifier)

    def see(self, clips: Sequence[MotionClip], seed: int) -> tuple[list[MotionClip], list[Array] | None]:
        """See `Sight`."""
        return add_noise(clips, self._level, self.spread, seed), None

    def judge(self, clips: Sequence[MotionClip], unsure: Sequence[Array] | None) -> list[PhysicsReport]:
        """See `Sight`."""
        return self._verifier.verify(clips)


class Films:
    """Films by the task's camera, read by its shipped estimator."""

    def __init__(self, task: str) -> None:
        self._estimator = StateEstimator.shipped(task)
        self._verifier = FrameVerifier(self._estimator).motion
        self.spread = _spread(self._verifier)

    def see(self, clips: Sequence[MotionClip], seed: int) -> tuple[list[MotionClip], list[Array] | None]:
        """See `Sight`."""
        return read_films(self._estimator, clips)

    def judge(self, clips: Sequence[MotionClip], unsure: Sequence[Array] | None) -> list[PhysicsReport]:
        """See `Sight`."""
        return self._verifier.verify(clips, unsure)


def sight_of(task: str, label: float | str) -> Sight:
    """The sight that `label` names."""
    return Films(task) if label == FILMS else NoisyStates(task, float(label))


def _spread(verifier: MotionVerifier) -> Spread:
    known = verifier.calibration
    return Spread(np.array(known.qpos_spread), np.array(known.qvel_spread))
