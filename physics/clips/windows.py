"""Quantities of windows of frames, and back to frames.

# B clips, T frames
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def over_windows(values: Array, frames: int) -> Array:
    """Values (B, T - w) of the windows from t to t + w as (B, T): the largest of the windows over each frame."""
    window = frames - values.shape[1]
    out = np.zeros((len(values), frames))
    for shift in range(window + 1):
        at = slice(shift, shift + values.shape[1])
        out[:, at] = np.maximum(out[:, at], values)
    return out


def over_any(flags: NDArray[np.bool_], window: int) -> NDArray[np.bool_]:
    """Whether any frame of the windows from t to t + w is flagged, (B, T - w)."""
    count = np.cumsum(np.pad(flags, ((0, 0), (1, 0))), axis=1)
    return count[:, window + 1 :] > count[:, : -window - 1]
