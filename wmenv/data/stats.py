"""Minimum, maximum, mean and spread of each column: LeRobot's meta/stats.json, added up append by append.

The files of one append carry their own part, so the whole is rebuilt without reading the data again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Stats = dict[str, dict[str, Any]]
"""For each feature: min, max, mean, std (population) and count, as nested lists."""

_FRAME_STRIDE = 16


def column_stats(columns: dict[str, NDArray]) -> Stats:
    """Statistics over the rows of each column, (N,) or (N, D)."""
    return {name: _summary(np.asarray(v, np.float64).reshape(len(v), -1)) for name, v in columns.items()}


def frame_stats(frames: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    """Statistics of each colour in [0, 1] over the first of every 16 frames, shaped (3, 1, 1) as LeRobot wants.

    Args:
        frames: For each episode (T + 1, H, W, 3) uint8.

    Returns:
        min, max, mean, std and count (the number of frames looked at).
    """
    some = np.concatenate([part[::_FRAME_STRIDE] for part in frames])
    levels = np.arange(256) / 255.0
    out: dict[str, Any] = {key: [] for key in ("min", "max", "mean", "std")}
    for colour in range(3):
        share = np.bincount(some[..., colour].reshape(-1), minlength=256) / some[..., colour].size
        mean = float(share @ levels)
        present = levels[share > 0]
        values = (present[0], present[-1], mean, np.sqrt(share @ (levels - mean) ** 2))
        for key, value in zip(out, values, strict=True):
            out[key].append([[float(value)]])
    return {**out, "count": [len(some)]}


def merge(parts: Iterable[Stats]) -> Stats:
    """The statistics of all rows from those of their parts, in order (the order fixes the rounding)."""
    total: Stats = {}
    for part in parts:
        for name, new in part.items():
            total[name] = _merge_two(total[name], new) if name in total else new
    return total


def check_stats(stats: Any, features: Mapping[str, Mapping[str, Any]]) -> None:
    """Checks that statistics read from a disk have a finite number for each coordinate of each feature.

    Raises:
        ValueError: They do not.
    """
    if not isinstance(stats, dict) or set(stats) != set(features):
        raise ValueError("statistics of other columns")
    for name, part in stats.items():
        shape = (3, 1, 1) if features[name]["dtype"] == "video" else tuple(features[name]["shape"])
        count = part["count"]
        if not (isinstance(count, list) and len(count) == 1 and type(count[0]) is int and 0 < count[0] < 2**53):
            raise ValueError(f"statistics of {name} without a count")
        for key in ("min", "max", "mean", "std"):
            values = np.asarray(part[key], np.float64)
            if values.shape != shape or not np.isfinite(values).all():
                raise ValueError(f"statistics of {name} that are no numbers")


def _summary(rows: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "min": rows.min(0).tolist(),
        "max": rows.max(0).tolist(),
        "mean": rows.mean(0).tolist(),
        "std": rows.std(0).tolist(),
        "count": [len(rows)],
    }


def _merge_two(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    count_a, count_b = a["count"][0], b["count"][0]
    count = count_a + count_b
    mean_a, mean_b, std_a, std_b = (np.asarray(x) for x in (a["mean"], b["mean"], a["std"], b["std"]))
    mean = mean_a + (mean_b - mean_a) * (count_b / count)
    # Chan et al. 1979, eq. 2.1b: variances of two samples joined without the samples.
    variance = (count_a * std_a**2 + count_b * std_b**2) / count + (mean_b - mean_a) ** 2 * count_a * count_b / count**2
    return {
        "min": np.minimum(a["min"], b["min"]).tolist(),
        "max": np.maximum(a["max"], b["max"]).tolist(),
        "mean": mean.tolist(),
        "std": np.sqrt(variance).tolist(),
        "count": [count],
    }
