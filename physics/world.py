"""How a 'real' world differs from the nominal MuJoCo model: four multipliers, applied once to a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import mujoco

from .errors import TaskError

LARGEST = 100.0
SMALLEST_MASS = 0.01
SCALED = {
    "mass": ("body_mass", "body_inertia"),
    "friction": ("geom_friction", "pair_friction"),
    "damping": ("dof_damping",),
    "gear": ("actuator_gear",),
}
"""The model's fields that each multiplier scales."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Multipliers of a MuJoCo model's constants; 1 everywhere is the nominal model, bit for bit.

    Args:
        mass: Of every body's mass and inertia, in [0.01, 100].
        friction: Of every geom's friction coefficients, in [0, 100].
        damping: Of every degree of freedom's damping, in [0, 100].
        gear: Of every actuator's gear, that is of its strength, in [0, 100].

    Raises:
        TaskError: A multiplier is not a finite number in its range.

    Example:
        >>> World(mass=1.2).to_dict()
        {'mass': 1.2, 'friction': 1.0, 'damping': 1.0, 'gear': 1.0}
    """

    mass: float = 1.0
    friction: float = 1.0
    damping: float = 1.0
    gear: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = SMALLEST_MASS if field.name == "mass" else 0.0
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number and math.isfinite(value) and least <= value <= LARGEST):
                raise TaskError(
                    f"world.{field.name}: expected a number in [{least:g}, {LARGEST:g}], got {value!r}; "
                    "1 leaves the model as it is"
                )
            object.__setattr__(self, field.name, float(value))

    @property
    def nominal(self) -> bool:
        """Whether every multiplier is 1."""
        return self == World()

    def apply(self, model: mujoco.MjModel) -> None:
        """Multiply the constants of `model` in place and update what MuJoCo derives from them."""
        if self.nominal:
            return
        for multiplier, names in SCALED.items():
            for name in names:
                getattr(model, name)[:] *= getattr(self, multiplier)
        mujoco.mj_setConst(model, mujoco.MjData(model))

    def to_dict(self) -> dict[str, float]:
        """The multipliers by name, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> World:
        """The world that `to_dict` wrote; names left out are 1.

        Raises:
            TaskError: An unknown name or a bad value.
        """
        if not isinstance(values, Mapping):
            raise TaskError(f"world: expected a World or a mapping of multipliers, got {values!r}")
        known = {field.name for field in fields(cls)}
        unknown = sorted(str(key) for key in set(values) - known)
        if unknown:
            raise TaskError(f"world: expected names out of {sorted(known)}, got {unknown}; remove them")
        return cls(**values)


def as_world(value: World | Mapping[str, Any] | None) -> World:
    """`value` as a World: None is the nominal one, a mapping is read by `World.from_dict`."""
    if value is None:
        return World()
    return value if isinstance(value, World) else World.from_dict(value)
