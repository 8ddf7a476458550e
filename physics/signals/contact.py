"""What stands, must stand on something and stand still: depths, heights and slips.

Source: PhysDiff's penetration, float and skate (Yuan et al. 2023, arXiv:2212.02500), on meshes of people.
Here they are those of the model's own geoms, and whether something floats is asked of ballistics, not of height.

# B clips, T frames
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..clips.batch import ClipBatch
from ..clips.windows import over_windows
from .momentum import floats, mean_force

Array = NDArray[np.float64]
FALLING = 0.5  # of g: who accelerates downwards more slowly is held by something


def penetration(clips: ClipBatch) -> Array:
    """Deepest overlap of two geoms that may not overlap, (B, T), m."""
    return clips.contacts.penetration


def float_height(clips: ClipBatch) -> Array:
    """Clearance above the ground where the robot does not fall although nothing holds it, (B, T), m."""
    frames = clips.shape[1]
    if not floats(clips.m.model):
        return np.zeros(clips.shape)
    held = mean_force(clips)[..., 2] > FALLING
    span = frames - held.shape[1] + 1
    above = np.lib.stride_tricks.sliding_window_view(clips.clearance, span, axis=1).min(-1)
    return over_windows(np.where(held, np.maximum(above, 0), 0.0), frames)


def skate(clips: ClipBatch) -> Array:
    """Fastest sliding of a point that is pressed against the static world, (B, T), m/s."""
    points, out = clips.contacts.points, np.zeros(clips.shape)
    pressed = points.on_world & (points.depth > 0)
    np.maximum.at(out, (points.clip[pressed], points.frame[pressed]), points.speed[pressed])
    return out
