"""Whether positions and velocities tell one story: what moves has a speed, and what has a speed moves.

# B clips, T frames, nv degrees of freedom
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..clips.batch import ClipBatch
from ..clips.windows import over_windows

Array = NDArray[np.float64]
WINDOW = 4  # control steps: errors of positions are divided by so long a time


def speed_mismatch(clips: ClipBatch, spread: Array) -> Array:
    """Change of position over a window against the integral of the velocity, (B, T).

    Root mean square over coordinates, in units of the `spread` (nv,) of real velocities. A frame has the largest
    mismatch of the windows over it. Source: the trapezoidal rule; its own error falls with the square of the step.
    """
    frames = clips.shape[1]
    window = min(WINDOW, frames - 1)
    step = clips.tangent.difference(clips.qpos[:, :-1], clips.qpos[:, 1:])
    told = clips.m.dt * (clips.qvel[:, :-1] + clips.qvel[:, 1:]) / 2
    summed = np.cumsum(np.pad(step - told, ((0, 0), (1, 0), (0, 0))), axis=1)
    apart = (summed[:, window:] - summed[:, :-window]) / (window * clips.m.dt)
    return over_windows(np.sqrt(np.mean(np.square(apart / spread), axis=-1)), frames)
