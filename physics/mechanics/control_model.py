"""A task's MuJoCo model with what turns its actions into controls, for those who step it without an environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from ..tasks.registry import SpecKey, find_spec
from ..tasks.sources import open_simulation
from ..tasks.spec import TaskSpec
from ..world import World, as_world


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ControlModel:
    """What a control step of a task is: `frame_skip` physics steps of `model` under constant controls.

    Args:
        task: The task's id.
        model: Its MuJoCo model, with auto-reset off. Shared: copy it before you change it.
        frame_skip: Physics steps per control step.
        low: (nu,) lower bounds of the action, in the task's own units, which are MuJoCo's controls.
        high: (nu,) upper bounds.
    """

    task: str
    model: mujoco.MjModel
    frame_skip: int
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def dt(self) -> float:
        """Seconds per control step."""
        return self.frame_skip * float(self.model.opt.timestep)

    def to_bytes(self) -> bytes:
        """All that a control step depends on; its digest tells two robots or worlds apart, not to be read again."""
        own = np.empty(mujoco.mj_sizeModel(self.model), np.uint8)
        mujoco.mj_saveModel(self.model, None, own)
        return b"".join((self.frame_skip.to_bytes(8), self.low.tobytes(), self.high.tobytes(), own.tobytes()))


def control_model(task: str | TaskSpec, world: World | dict[str, float] | None = None) -> ControlModel:
    """The control model of `task` in `world`; the same object for the same arguments.

    Raises:
        TaskError: There is no such task, or the world is not what was expected.
    """
    spec = task if isinstance(task, TaskSpec) else find_spec(task)
    return _open(SpecKey(spec), as_world(world))


def check_motors(m: ControlModel) -> None:
    """Refuses a robot whose motors have a state of their own: no clip holds it, and a replay would begin without it.

    Raises:
        ClipError: The robot has such motors.
    """
    if m.model.na:
        raise ClipError(
            f"task: expected motors without a state of their own, got {m.task} with {m.model.na} activations, which no "
            "clip holds; use motors without dyntype"
        )


def world_models(task: str, worlds: Sequence[World | ControlModel]) -> tuple[ControlModel, ...]:
    """The control model of each world, the nominal one if there is none; a control model is taken as it is.

    Raises:
        TaskError: There is no such task.
    """
    each = (w if isinstance(w, ControlModel) else control_model(task, w) for w in worlds)
    return tuple(each) or (control_model(task),)


@lru_cache(maxsize=64)
def _open(key: SpecKey, world: World) -> ControlModel:
    simulation = open_simulation(key.spec, world)
    try:
        model, dt, space = simulation.model.__copy__(), simulation.dt, simulation.action_space
        if model.ntree == 1:  # one tree is one island: looking for more costs a tenth and changes no bit
            model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ISLAND)
        return ControlModel(
            task=key.spec.id,
            model=model,
            frame_skip=round(dt / model.opt.timestep),
            low=space.low.astype(np.float64),
            high=space.high.astype(np.float64),
        )
    finally:
        simulation.close()
