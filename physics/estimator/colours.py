"""What is measured in a frame: of every colour how much there is, where its middle lies and how it is stretched.

The project's cameras paint each limb in a flat colour of its own, drawn with antialiasing: a colour's moments follow
its limb to a small fraction of a pixel, and a small network makes a pose of them. (Of one core's 20 seconds, a
convolutional network with a spatial softmax made 0.23 rad on Reacher's joints, moments 0.01.) The ground's pattern is
read as the mean of its columns.

# N frames, K colours, F features
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SIZE = 64
MOMENTS = 10  # amount, middle (2), covariance (3), third central moments (4)
FLOOR = 0.1  # of full chroma or brightness: what noise and blur bring about counts nothing
HUE_WIDTH = 10.0  # degrees; the nearest two of the cameras' hues are 22 apart
FARTHEST_HUE = 30.0  # degrees; of a hue so far away a hundredth would count
GREY = 0.15  # chroma of the cameras' colours below which one has no hue
GROUND_LIGHT = 0.55  # brightness of the ground's light blocks, which white must exceed
GROUND_SEEN = 0.1  # brightness of a pixel's median that is ground
LEAST_AMOUNT = 1.0  # pixels; the middle of less is drawn to the picture's
CHUNK = 256
_LINE: NDArray[np.float64] = (np.arange(SIZE, dtype=np.float64) + 0.5) / (SIZE / 2) - 1


class ColourMoments:
    """Turns frames (N, 64, 64, 3) uint8 into features (N, F).

    A frame's features are the same bits whatever other frames stand beside it.

    Args:
        colours: Red, green and blue in [0, 1] of whatever moves.
        ground: (64, 64) bool, where the ground is seen.
    """

    def __init__(self, colours: Sequence[Sequence[float]], ground: NDArray[np.bool_]) -> None:
        self.colours = np.array(colours, np.float64).reshape(-1, 3)
        self.ground = np.array(ground, bool)
        hue, chroma, _ = hue_chroma_white(self.colours)
        self._hues = [(float(h), float(c)) for h, c in zip(hue, chroma, strict=True) if c > GREY]
        self._white = bool((chroma <= GREY).any())
        rows = np.nonzero(self.ground.mean(1) > 0.5)[0]
        self._rows = rows[len(rows) // 2 :]  # the lower half: feet that sink hide the upper one

    @property
    def num_colours(self) -> int:
        """K."""
        return len(self._hues) + int(self._white)

    @property
    def size(self) -> int:
        """F."""
        return self.num_colours * MOMENTS + (3 * SIZE if len(self._rows) else 0)

    def read(self, frames: NDArray[np.uint8]) -> Floats:
        """The features (N, F) of frames (N, 64, 64, 3)."""
        if not len(frames):
            return np.empty((0, self.size), np.float32)
        return np.concatenate([self._chunk(frames[at : at + CHUNK]) for at in range(0, len(frames), CHUNK)])

    def _chunk(self, frames: NDArray[np.uint8]) -> Floats:
        frame, row, column = np.nonzero(frames.max(-1) > FLOOR * 255)
        pixels = frames[frame, row, column].astype(np.float64) / 255
        x, y, num = _LINE[column], _LINE[row], len(frames)
        found = [
            _moments(weight, frame[at], x[at], y[at], num)
            for at, weight in self._weights(pixels, self.ground[row, column])
        ]
        if len(self._rows):
            found.append(frames[:, self._rows].astype(np.float64).mean(1).reshape(num, -1) / 255)
        return np.concatenate(found, axis=1).astype(np.float32)

    def _weights(
        self, pixels: NDArray[np.float64], ground: NDArray[np.bool_]
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
        """Of each colour the pixels that hold some, and how much, from 0 to about 1."""
        hue, chroma, white = hue_chroma_white(pixels)
        for middle, full in self._hues:
            away = np.abs((hue - middle + 180.0) % 360.0 - 180.0)
            at = np.nonzero((away < FARTHEST_HUE) & (chroma > FLOOR))[0]
            yield at, np.exp(-0.5 * (away[at] / HUE_WIDTH) ** 2) * (chroma[at] - FLOOR) / (full - FLOOR)
        if self._white:
            above = np.where(ground, (white - GROUND_LIGHT) / (1 - GROUND_LIGHT), white) - chroma / 2
            at = np.nonzero(above > FLOOR)[0]
            yield at, (above[at] - FLOOR) / (1 - FLOOR)


def ground_of(frames: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the median of frames (N, 64, 64, 3) is no background, (64, 64)."""
    return np.median(frames, axis=0).max(-1) > GROUND_SEEN * 255


def hue_chroma_white(
    pixels: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Hue in degrees, chroma and the share of white of colours (..., 3) in [0, 1]."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    most, least = pixels.max(-1), pixels.min(-1)
    chroma = most - least
    safe = np.maximum(chroma, 1e-6)
    sector = np.where(most == red, (green - blue) / safe, (blue - red) / safe + 2)
    sector = np.where((most == blue) & (most != red) & (most != green), (red - green) / safe + 4, sector)
    return sector * 60.0, chroma, least


def _moments(
    weight: NDArray[np.float64], frame: NDArray[np.intp], x: NDArray[np.float64], y: NDArray[np.float64], num: int
) -> NDArray[np.float64]:
    """Moments (num, 10) of one colour, scaled to about 1; middles in units of half the picture."""

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(frame, values, num), np.float64)

    amount = total(weight)
    divisor = np.maximum(amount, LEAST_AMOUNT)
    middle_x, middle_y = total(weight * x) / divisor, total(weight * y) / divisor
    dx, dy = x - middle_x[frame], y - middle_y[frame]
    wx, wy = weight * dx, weight * dy
    wxx, wxy, wyy = wx * dx, wx * dy, wy * dy
    second = [total(values) / divisor for values in (wxx, wxy, wyy)]
    third = [total(values) / divisor for values in (wxx * dx, wxx * dy, wyy * dx, wyy * dy)]
    columns = [amount / 50, 4 * middle_x, 4 * middle_y, *(30 * values for values in second)]
    return np.stack([*columns, *(10 * np.cbrt(values) for values in third)], axis=1)
