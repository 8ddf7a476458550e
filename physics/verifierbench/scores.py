"""How well a number tells corrupted clips from real ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def auroc(real: Array, corrupted: Array) -> float:
    """Chance that a corrupted clip scores above a real one, ties counting half (Mann and Whitney 1947).

    Raises:
        ValueError: One side is empty.
    """
    if not (len(real) and len(corrupted)):
        raise ValueError(f"auroc: expected clips on both sides, got {len(real)} and {len(corrupted)}")
    order = np.sort(real)
    below, up_to = (np.searchsorted(order, corrupted, side) for side in ("left", "right"))
    return float(np.mean((below + up_to) / 2) / len(real))


def false_alarms_at(real: Array, corrupted: Array, recall: float = 0.95) -> float:
    """Share of real clips above the threshold that finds `recall` of the corrupted ones."""
    threshold = np.quantile(corrupted, 1 - recall, method="lower")
    return float(np.mean(real >= threshold))
