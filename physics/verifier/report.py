"""What the verifier says of one clip: measurements in SI units, scores in units of real clips, and sentences.

# T frames
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .calibration import CAP

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PhysicsReport:
    """Measurements, not an opinion: every number is finite, whatever the clip held.

    Args:
        task: Id of the task.
        signals: Name -> (T,) in the unit that `physics.SIGNALS` tells.
        scores: Name -> (T,) in units of the 95th percentile of real frames; 1.0 is as good as real.
        score: (T,) the same for each frame, of the signals that can say where; 95 of 100 real frames are below 1.0.
        clip_score: One number, higher is worse; at least 95 of 100 real clips are below 1.0.
        fired: Names of the signals that real clips hardly ever reach, the worst first.
        sentences: The same for a person.
        diverged_at: First frame that is not finite or absurdly large; None if there is none.
    """

    task: str
    signals: Mapping[str, Array]
    scores: Mapping[str, Array]
    score: Array
    clip_score: float
    fired: tuple[str, ...]
    sentences: tuple[str, ...]
    diverged_at: int | None

    @property
    def plausible(self) -> bool:
        """Whether the clip could be real."""
        return self.clip_score <= 1.0 and self.diverged_at is None

    def reward(self) -> Array:
        """Per frame (T,) in [-1, 0]: 0 where the frame is as good as real, falling with the score's logarithm above.

        A hinge, so that nothing is to be won beyond real; a logarithm, so that to halve an error pays alike at every
        size, and what is far off still knows the way.
        """
        return -np.log(np.clip(self.score, 1.0, CAP)) / np.log(CAP)
