"""Attitudes of free bodies as six numbers without a seam, for a network to learn, and back as quaternions.

# N attitudes; quaternions are wxyz
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def matrix(attitude: Array) -> Array:
    """Rotation matrices (N, 3, 3) of quaternions (N, 4), wxyz."""
    w, x, y, z = (attitude / np.linalg.norm(attitude, axis=-1, keepdims=True)).T
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.moveaxis(np.array(rows), -1, 0)


def quaternion(code: Array) -> Array:
    """Quaternions (N, 4), wxyz, of two columns (N, 6) that need not be orthonormal (Zhou et al., 1812.07035)."""
    pair = code.reshape(-1, 3, 2)
    first = _unit(pair[..., 0])
    second = _unit(pair[..., 1] - (pair[..., 1] * first).sum(-1, keepdims=True) * first)
    matrices = np.stack((first, second, np.cross(first, second)), axis=-1)
    out = np.empty((len(matrices), 4))
    for row, turned in enumerate(matrices):
        mujoco.mju_mat2Quat(out[row], turned.ravel())
    return out


def _unit(vector: Array) -> Array:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def continuous(attitude: Array) -> Array:
    """Signs chosen so that successive quaternions are neighbours; q and -q are one attitude."""
    flips = (attitude[1:] * attitude[:-1]).sum(-1) < 0
    sign = np.where(np.concatenate(([attitude[0, 0] < 0], flips)), -1.0, 1.0)
    return attitude * np.cumprod(sign)[:, None]
