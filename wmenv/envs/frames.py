"""Frames of many dreams in one picture, for viewers and videos."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def tile_frames(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Frames, each uint8 (h, w, 3), side by side in a nearly square grid (rows * h, columns * w, 3), black where none.

    Example:
        >>> tile_frames([np.zeros((4, 6, 3), np.uint8)] * 5).shape
        (8, 18, 3)
    """
    batch = np.stack(frames)
    columns = math.ceil(math.sqrt(len(batch)))
    rows = math.ceil(len(batch) / columns)
    grid = np.zeros((rows * columns, *batch.shape[1:]), dtype=batch.dtype)
    grid[: len(batch)] = batch
    height, width, depth = batch.shape[1:]
    tiled = grid.reshape(rows, columns, height, width, depth).transpose(0, 2, 1, 3, 4)
    return tiled.reshape(rows * height, columns * width, depth)
