"""Exploring by chance in gentle and in violent stretches, so that a world model sees slow motion too.

Uniform noise over the whole action box shakes a robot: the recording then holds fast motion only, and a policy that
moves slowly towards a goal is a stranger in the dream.

# B envs, K steps, A action size
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STRETCH = 25  # steps of one amplitude and one hold
GENTLEST = -1.5  # log10 of the smallest amplitude, in units of half the action box
HOLDS = (1, 2, 4)


class ExploringActions:
    """Stretches of random actions about the middle of the box, each with an amplitude and a hold of its own.

    Args:
        low: (A,) lower bounds.
        high: (A,) upper bounds.
        entropy: For each environment the integers from which its stream derives.
    """

    def __init__(self, low: NDArray[np.float32], high: NDArray[np.float32], entropy: list[tuple[int, ...]]) -> None:
        self._low, self._high = low, high
        self._streams = [np.random.Generator(np.random.Philox(np.random.SeedSequence(e))) for e in entropy]
        self._queue = np.zeros((0, len(entropy), len(low)), np.float32)

    def actions(self, steps: int) -> NDArray[np.float32]:
        """The next (K, B, A) actions; see `OpenLoop`."""
        while len(self._queue) < steps:
            self._queue = np.concatenate([self._queue, np.stack([self._stretch(s) for s in self._streams], axis=1)])
        out, self._queue = self._queue[:steps], self._queue[steps:]
        return out

    def _stretch(self, stream: np.random.Generator) -> NDArray[np.float32]:
        amplitude = 10 ** stream.uniform(GENTLEST, 0)
        hold = HOLDS[stream.integers(len(HOLDS))]
        unit = np.repeat(stream.uniform(-1, 1, (-(-STRETCH // hold), len(self._low))), hold, axis=0)[:STRETCH]
        middle, half = (self._high + self._low) / 2, (self._high - self._low) / 2
        return np.clip(middle + half * amplitude * unit, self._low, self._high).astype(np.float32)
