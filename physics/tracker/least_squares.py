"""Least squares in a box for many small problems at once: which controls come nearest to a wanted change of state.

# B problems, R residuals, U unknowns
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SWEEPS = 20  # of coordinate descent, which only has to mend what the bounds changed


def box_least_squares(jacobian: Array, wanted: Array, start: Array, low: Array, high: Array, ridge: float) -> Array:
    """Minimises |J (x - start) - wanted|^2 + ridge trace(J^T J) / U |x - start|^2 over low <= x <= high.

    By projected coordinate descent from the solution without bounds, cut to them; it converges because the problem is
    strictly convex. The ridge keeps `start` where nothing is gained by leaving it, for instance along a control that no
    residual feels.

    Args:
        jacobian: (B, R, U).
        wanted: (B, R).
        start: (B, U), inside the box.
        low: (U,).
        high: (U,).
        ridge: Relative to the mean diagonal of J^T J.

    Returns:
        (B, U).
    """
    square = (jacobian[:, :, :, None] * jacobian[:, :, None, :]).sum(axis=1)
    gain = (jacobian * wanted[:, :, None]).sum(axis=1)
    unknowns = np.arange(square.shape[1])
    mean = square[:, unknowns, unknowns].mean(axis=1)
    square[:, unknowns, unknowns] += ridge * mean[:, None] + 1e-12
    x = np.clip(start + np.linalg.solve(square, gain[:, :, None])[:, :, 0], low, high)
    slope = (square * (x - start)[:, None]).sum(axis=2) - gain  # of the objective at x, halved
    for _ in range(SWEEPS):
        for j in unknowns:
            new = np.clip(x[:, j] - slope[:, j] / square[:, j, j], low[j], high[j])
            slope += square[:, :, j] * (new - x[:, j])[:, None]
            x[:, j] = new
    return x
