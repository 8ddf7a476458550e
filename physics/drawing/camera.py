"""What a task's camera sees: where it stands, what it follows and how the scene is painted for a small picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import TaskError

Colour = tuple[float, float, float]  # red, green, blue in [0, 1]

BLACK: Colour = (0.0, 0.0, 0.0)
WHITE: Colour = (1.0, 1.0, 1.0)
RED: Colour = (1.0, 0.15, 0.1)
GREEN: Colour = (0.2, 0.85, 0.25)
BLUE: Colour = (0.15, 0.45, 1.0)
YELLOW: Colour = (1.0, 0.85, 0.1)
ORANGE: Colour = (1.0, 0.5, 0.05)
MAGENTA: Colour = (0.9, 0.2, 0.85)
CYAN: Colour = (0.1, 0.85, 0.9)
PALETTE: tuple[Colour, ...] = (WHITE, ORANGE, CYAN, YELLOW, MAGENTA, GREEN, BLUE, RED)

DARK_GREY: Colour = (0.22, 0.22, 0.22)
LIGHT_GREY: Colour = (0.55, 0.55, 0.55)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Painted blocks in place of MuJoCo's planes, which cost 97% of a small picture on a software driver.

    Args:
        period: Length of one dark and one light block along x, m.
        top: Height of the ground's surface, m.
        thickness: Depth of the blocks, m.
        depth: Half-width along y, m; 0 paints no blocks along y.
        ramp: Half-length in m over which the light blocks' colour runs from blue to red, so that a camera that follows
            the robot still shows where it is; None: every light block looks the same.
    """

    period: float = 1.0
    top: float = 0.0
    thickness: float = 0.3
    depth: float = 0.0
    ramp: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """An orthographic camera: a metre has the same number of pixels everywhere in the picture.

    Args:
        lookat: The point in the middle of the picture, world frame, m; an offset from `track_body` on tracked axes.
        width: Width of the field of view, m.
        height: Height of the field of view, m; None: as `width`. Where they differ the picture is stretched.
        azimuth: Degrees about z, as MuJoCo's free camera has it: 90 looks along +y with x to the right.
        elevation: Degrees; 0 looks level, -90 straight down.
        track: Axes on which the camera follows `track_body`: any of "x", "y", "z", in this order.
        track_body: Name of the body that is followed.
        colours: Colour by geom or body name; a geom that is not named takes its body's colour, else the palette's.
        sizes: Size by geom name (MuJoCo's size, m), in the picture alone: dynamics keep theirs.
        hidden: Names of geoms that are not drawn.
        discs: Radius by geom name, m: drawn as a flat disc in the geom's xy plane, in the picture alone.
        shading: Whether lamp light models the shapes; without it every geom is one flat colour.
        ground: Blocks drawn in place of planes, or None: no ground.
        supersample: 1, 2 or 4: pictures are drawn so many times larger and averaged down.
    """

    lookat: tuple[float, float, float]
    width: float
    height: float | None = None
    azimuth: float = 90.0
    elevation: float = 0.0
    track: str = ""
    track_body: str | None = None
    colours: Mapping[str, Colour] = field(default_factory=dict)
    sizes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    discs: Mapping[str, float] = field(default_factory=dict)
    shading: bool = False
    ground: Ground | None = None
    supersample: int = 2

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise TaskError(f"camera.{name}: expected a length in m above 0, got {value!r}")
        if len(self.lookat) != 3 or not all(math.isfinite(c) for c in self.lookat):
            raise TaskError(f"camera.lookat: expected three finite coordinates in m, got {self.lookat!r}")
        if self.track not in ("", "x", "y", "z", "xy", "xz", "yz", "xyz"):
            raise TaskError(f"camera.track: expected axes such as 'x' or 'xy', got {self.track!r}")
        if bool(self.track) != (self.track_body is not None):
            raise TaskError(f"camera.track_body: expected with track, got {self.track!r} and {self.track_body!r}")
        if self.supersample not in (1, 2, 4):
            raise TaskError(f"camera.supersample: expected 1, 2 or 4, got {self.supersample!r}")

    @property
    def axes(self) -> tuple[int, ...]:
        """Indices of the tracked axes."""
        return tuple("xyz".index(axis) for axis in self.track)

    @property
    def forward(self) -> tuple[float, float, float]:
        """Unit vector of the view, world frame."""
        azimuth, elevation = math.radians(self.azimuth), math.radians(self.elevation)
        return (
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        )

    @property
    def up(self) -> tuple[float, float, float]:
        """Unit vector that points up in the picture, world frame."""
        azimuth, elevation = math.radians(self.azimuth), math.radians(self.elevation)
        return (
            -math.sin(elevation) * math.cos(azimuth),
            -math.sin(elevation) * math.sin(azimuth),
            math.cos(elevation),
        )
