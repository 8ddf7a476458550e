"""Opens the simulation that a spec's `source` names; each kind is imported only when it is asked for."""

from __future__ import annotations

from ..errors import TaskError
from ..messages import route_messages
from ..world import World
from .simulation import Simulation
from .spec import TaskSpec


def open_simulation(spec: TaskSpec, world: World) -> Simulation:
    """The simulation of `spec` in `world`.

    Raises:
        TaskError: The source is unknown, malformed or its package is missing.
    """
    route_messages()
    kind, _, name = spec.source.partition(":")
    if kind == "gym":
        from .gym_source import GymSimulation

        return GymSimulation(name, spec.options, world)
    if kind == "dmc":
        from .dmc_source import DmcSimulation

        return DmcSimulation(name, world)
    if kind == "mjcf":
        from .mjcf_source import MjcfSimulation

        return MjcfSimulation(name, spec.options, world)
    raise TaskError(f"source: expected 'gym:ID', 'dmc:DOMAIN/TASK' or 'mjcf:PATH', got {spec.source!r}")
