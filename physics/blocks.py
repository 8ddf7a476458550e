"""The painted ground: boxes at fixed places in the world, of which only those near the camera are drawn."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from .camera import DARK_GREY, LIGHT_GREY, Camera, Colour, Ground

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
        self._reach = REACH * camera.width + 2 * camera.ground.period
        self._placed: tuple[int, int, int] | None = None
        self._count = 0

    def lay(self, scene: mujoco.MjvScene, lookat: NDArray[np.float64]) -> None:
        """Add the boxes around `lookat` (3,) m after the geoms that the scene holds.

        The scene keeps the boxes between frames as long as it holds the same number of geoms before them.
        """
        ground = self._ground
        column = math.floor(lookat[0] / ground.period)
        row = math.floor(lookat[1] / ground.period) if ground.depth else 0
        if self._placed != (column, row, scene.ngeom):
            self._placed = (column, row, scene.ngeom)
            self._count = self._build(scene, column * ground.period, row * ground.period)
        scene.ngeom += self._count

    def _build(self, scene: mujoco.MjvScene, x: float, y: float) -> int:
        boxes = self._boxes(x, y)
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

    def _boxes(self, x: float, y: float) -> list[tuple[tuple[float, ...], tuple[float, ...], Colour]]:
        ground, reach = self._ground, self._reach
        half, block = ground.thickness / 2, ground.period / 4
        middle = ground.top - half
        raised = half + STAND_OUT
        if not ground.depth:
            side = 1.0
            boxes = [((x, 0.0, middle), (reach, side, half), DARK_GREY)]
            for place in _places(x, reach, ground.period):
                colour = LIGHT_GREY if ground.ramp is None else _ramp(place / ground.ramp)
                boxes.append(((place, 0.0, middle), (block, side + STAND_OUT, raised), colour))
            return boxes
        boxes = [((x, y, middle), (reach, ground.depth, half), DARK_GREY)]
        for place_x in _places(x, reach, ground.period):
            for place_y in _places(y, ground.depth, ground.period):
                for shift in (0.0, 2 * block):
                    boxes.append(((place_x + shift, place_y + shift, middle), (block, block, raised), LIGHT_GREY))
        return boxes


def _places(middle: float, reach: float, period: float) -> list[float]:
    """Multiples of `period` within `reach` of `middle`."""
    first, last = math.ceil((middle - reach) / period), math.floor((middle + reach) / period)
    return [period * k for k in range(first, last + 1)]


def _ramp(place: float) -> Colour:
    """A colour that changes evenly from blue at -1 to red at +1."""
    t = min(max((place + 1) / 2, 0.0), 1.0)
    return (0.1 + 0.9 * t, 0.45, 1.0 - 0.9 * t)
