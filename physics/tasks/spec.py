"""What makes a wmenv task of a MuJoCo simulation: where it comes from, what its state is, what its camera sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..drawing.camera import Camera

Bound = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One task. Coordinates are derived from the MuJoCo model by `coordinates.coordinates_of`, steered by the fields.

    Args:
        id: Gymnasium id.
        source: "gym:ID", "dmc:DOMAIN/TASK" or "mjcf:PATH".
        max_episode_steps: Control steps until truncation; None: no limit.
        camera: The task's camera; None: one is fitted to the model.
        omit: Joints none of whose coordinates are in the state, with the reason.
        omit_position: Joints whose velocity alone is in the state, with the reason; a free joint loses x and y.
        omit_velocity: Joints whose position alone is in the state, with the reason.
        bounded_hinges: Unlimited hinges that the task keeps from turning round, so that the plain angle is in the state
            instead of its cosine and sine; with bounds, rad.
        position_bounds: Bounds of positions by joint, m or rad, in place of the model's; for a free joint the height's.
        velocity_bounds: Bounds of velocities by joint, m/s or rad/s.
        default_velocity_bound: Of all other joints, m/s or rad/s.
        goals: Geoms that the task places anew at reset by changing the model: their x and y are in the state, with
            bounds, m.
        objects: Joints that move one object together and so share a state group.
        meaning: A few words by joint, for the documentation.
        note: What the documentation says about the task beside its table.
        options: Passed to the source's constructor.
    """

    id: str
    source: str
    max_episode_steps: int | None
    camera: Camera | None = None
    omit: Mapping[str, str] = field(default_factory=dict)
    omit_position: Mapping[str, str] = field(default_factory=dict)
    omit_velocity: Mapping[str, str] = field(default_factory=dict)
    bounded_hinges: Mapping[str, Bound] = field(default_factory=dict)
    position_bounds: Mapping[str, Bound] = field(default_factory=dict)
    velocity_bounds: Mapping[str, float] = field(default_factory=dict)
    default_velocity_bound: float = 50.0
    goals: Mapping[str, Bound] = field(default_factory=dict)
    objects: tuple[tuple[str, ...], ...] = ()
    meaning: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
