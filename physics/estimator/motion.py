"""Velocities, and slightly better positions, from positions that were read frame by frame: a linear filter by joint.

A least-squares filter as Savitzky and Golay's (1964), whose weights are not those of a polynomial but those that read
real motions best. Each degree of freedom is filtered from its own neighbours in time alone, so that nothing of the
dynamics enters which couples one joint to another or to an action: a filter that knew them would mend the very faults
that a verifier looks for. A position moves by two standard errors at most, so that a jump stays a jump.

# T frames, W window, V degrees of freedom
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..mechanics.tangent import Tangent
from .errors import EstimatorError

Array = NDArray[np.float64]
WINDOW = 9  # frames
RIDGE = 1e-5  # of the mean square of the differences
MOST_SIGMAS = 2.0


class MotionFilter:
    """Reads velocities out of positions.

    Args:
        model: The robot.
        weights: (W + 1, W, V, W, 2): by the number of frames, the place among them and the degree of freedom, the
            weight of each frame's distance, for velocity (1/s) and position.
        sigma: (V,) root mean square error of the positions as they come, m or rad.

    Raises:
        EstimatorError: The arrays do not fit the robot.
    """

    def __init__(self, model: mujoco.MjModel, weights: Array, sigma: Array) -> None:
        shape = (WINDOW + 1, WINDOW, model.nv, WINDOW, 2)
        if weights.shape != shape or sigma.shape != (model.nv,):
            raise EstimatorError(f"filter: expected weights {shape}, got {weights.shape}; the file is of another robot")
        if not (np.isfinite(weights).all() and np.isfinite(sigma).all()):
            raise EstimatorError("filter: expected finite weights; restore the file")
        self.weights, self.sigma = weights, sigma
        self._tangent = Tangent(model)

    def read(self, qpos: Array) -> tuple[Array, Array]:
        """Positions (T, nq) and velocities (T, nv) out of positions (T, nq); T >= 2."""
        frames, length = len(qpos), min(len(qpos), WINDOW)
        start = np.clip(np.arange(frames) - length // 2, 0, frames - length)
        window = start[:, None] + np.arange(length)
        away = self._tangent.difference(qpos[:, None], qpos[window])  # (T, W, V)
        weights = self.weights[length, np.arange(frames) - start, :, :length]  # (T, V, W, 2)
        out = np.einsum("twv,tvwk->ktv", away, weights)
        most = MOST_SIGMAS * self.sigma
        return self._tangent.shift(qpos, np.clip(out[1], -most, most)), out[0]


def fit_filter(
    model: mujoco.MjModel, read: Sequence[Array], qpos: Sequence[Array], qvel: Sequence[Array], periods: Array
) -> MotionFilter:
    """The filter that turns positions as they were `read` (T, nq) best into those that were, and into velocities.

    Args:
        model: The robot.
        read: Of each clip the positions that frames gave.
        qpos: The true ones.
        qvel: The true velocities.
        periods: (V,) as `PoseCode.periods` gives them.
    """
    tangent = Tangent(model)
    errors = [position_error(tangent, r, q, periods) for r, q in zip(read, qpos, strict=True)]
    weights = np.zeros((WINDOW + 1, WINDOW, model.nv, WINDOW, 2))
    for length in range(2, WINDOW + 1):
        for place in range(length):
            away, speed, error = [], [], []
            for r, v, e in zip(read, qvel, errors, strict=True):
                window = np.arange(len(r) - length + 1)[:, None] + np.arange(length)
                now = window[:, place]
                away.append(tangent.difference(r[now][:, None], r[window]))
                speed.append(v[now])
                error.append(-e[now])
            x, y = np.concatenate(away), np.stack((np.concatenate(speed), np.concatenate(error)), -1)
            weights[length, place, :, :length] = _ridge(x, y)
    sigma = np.sqrt(np.mean(np.concatenate(errors) ** 2, axis=0))
    return MotionFilter(model, weights, sigma)


def position_error(tangent: Tangent, read: Array, qpos: Array, periods: Array) -> Array:
    """What was read less what was, (T, V), but for whole periods where a picture does not tell them."""
    error = tangent.difference(qpos, read)
    safe = np.where(periods > 0, periods, 1.0)
    return error - np.where(periods > 0, np.round(np.median(error, axis=0) / safe) * safe, 0.0)


def _ridge(x: Array, y: Array) -> Array:
    """Weights (V, L, 2) of least squares, of distances (N, L, V) for targets (N, V, 2)."""
    gram = np.einsum("niv,njv->vij", x, x)
    right = np.einsum("niv,nvk->vik", x, y)
    size = gram.shape[-1]
    ridge = RIDGE * np.einsum("vii->v", gram) / size + 1e-9
    return np.linalg.solve(gram + ridge[:, None, None] * np.eye(size), right)
