"""The painted ground: boxes at fixed places in the world, of which only those near the camera are drawn."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from .camera import DARK_GREY, LIGHT_GREY, Camera, Colour, Ground

Box = tuple[tuple[float, float, float], tuple[float, float, float], Colour]  # middle, half-lengths, colour

STAND_OUT = 0.004  # m that a light block stands out of the dark slab, so that it wins over it
REACH = 0.75  # half-length of the slab in units of the picture's width: the diagonal, and some


class Blocks:
    """Adds a ground's boxes to a scene; they are rebuilt only when the camera has passed on to the next block.

    Args:
        camera: With a ground.
    """

    def __init__(self, camera: Camera) -> None:
        assert camera.ground is not None
        self._ground: Ground = camera.ground
        self._reach = REACH * camera.width
        self._placed: tuple[float, float, int] | None = None
        self._count = 0

    def lay(self, scene: mujoco.MjvScene, lookat: NDArray[np.float64]) -> None:
        """Add the boxes around `lookat` (3,) m after the geoms that the scene holds.

        The scene keeps the boxes between frames as long as it holds the same number of geoms before them.
        """
        ground = self._ground
        if ground.depth:  # the edges are seen, so they move with the camera
            x, y = float(lookat[0]), float(lookat[1])
        else:
            x, y = math.floor(lookat[0] / ground.period) * ground.period, 0.0
        if self._placed != (x, y, scene.ngeom):
            self._placed = (x, y, scene.ngeom)
            self._count = self._build(scene, self._checker(x, y) if ground.depth else self._stripes(x))
        scene.ngeom += self._count

    def _build(self, scene: mujoco.MjvScene, boxes: list[Box]) -> int:
        free = range(scene.ngeom, min(scene.ngeom + len(boxes), scene.maxgeom))
        for slot, (at, half, colour) in zip(free, boxes, strict=False):
            mujoco.mjv_initGeom(
                scene.geoms[slot],
                mujoco.mjtGeom.mjGEOM_BOX,
                np.array(half),
                np.array(at),
                np.eye(3).ravel(),
                np.array([*colour, 1.0], np.float32),
            )
        return len(free)

    def _stripes(self, x: float) -> list[Box]:
        """A slab and light blocks on it, all that can be seen while the camera is within one period after `x`."""
        ground, reach = self._ground, self._reach + 2 * self._ground.period
        half = ground.thickness / 2
        middle = ground.top - half
        boxes: list[Box] = [((x, 0.0, middle), (reach, 1.0, half), DARK_GREY)]
        for place in _places(x, reach, ground.period):
            colour = LIGHT_GREY if ground.ramp is None else _ramp(place / ground.ramp)
            boxes.append(((place, 0.0, middle), (ground.period / 4, 1.0 + STAND_OUT, half + STAND_OUT), colour))
        return boxes

    def _checker(self, x: float, y: float) -> list[Box]:
        """A slab around (x, y) and light squares on it, cut at its edges."""
        ground, reach, depth = self._ground, self._reach, self._ground.depth
        half, side = ground.thickness / 2, ground.period / 4
        middle = ground.top - half
        boxes: list[Box] = [((x, y, middle), (reach, depth, half), DARK_GREY)]
        for shift in (0.0, ground.period / 2):
            for place_x in _places(x - shift, reach + side, ground.period):
                for place_y in _places(y - shift, depth + side, ground.period):
                    at_x, half_x = _cut(place_x + shift, side, x, reach)
                    at_y, half_y = _cut(place_y + shift, side, y, depth)
                    boxes.append(((at_x, at_y, middle), (half_x, half_y, half + STAND_OUT), LIGHT_GREY))
        return boxes


def _cut(middle: float, half: float, window: float, reach: float) -> tuple[float, float]:
    """Middle and half-length of that part of an interval that lies in the window."""
    low, high = max(middle - half, window - reach), min(middle + half, window + reach)
    return (low + high) / 2, max((high - low) / 2, 1e-6)


def _places(middle: float, reach: float, period: float) -> list[float]:
    """Multiples of `period` within `reach` of `middle`."""
    first, last = math.ceil((middle - reach) / period), math.floor((middle + reach) / period)
    return [period * k for k in range(first, last + 1)]


def _ramp(place: float) -> Colour:
    """A colour that changes evenly from blue at -1 to red at +1."""
    t = min(max((place + 1) / 2, 0.0), 1.0)
    return (0.1 + 0.9 * t, 0.45, 1.0 - 0.9 * t)
