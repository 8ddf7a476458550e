"""J: the simulator that scores what was optimised against V; no reward may read it, which a test of it holds."""

from __future__ import annotations

from dataclasses import replace

import mujoco

from ..mechanics.control_model import ControlModel, control_model
from ..tasks.registry import cached_by_spec
from ..world import World

JUDGE_WORLD = World(mass=0.92, friction=1.15, damping=0.85, gear=1.06)
"""Off nominal on the other side than D, so that fitting V to D does not fit J."""
SUBSTEPS = 2  # physics steps of J in one of the nominal model


@cached_by_spec
def judge(task: str) -> ControlModel:
    """The judge's control model of `task`: other constants, another integrator, half the timestep.

    The integrator is implicitfast where the nominal model's is Euler or RK4 and RK4 where it is an implicit one. A
    control step lasts as long as the nominal one.

    Args:
        task: Id of the task.

    Returns:
        The model; the same object for the same task, until the id is registered anew.

    Raises:
        TaskError: There is no such task.

    Example:
        >>> judge("wmenv/Hopper-v0").dt == control_model("wmenv/Hopper-v0").dt
        True
    """
    nominal = control_model(task)
    model = nominal.model.__copy__()
    JUDGE_WORLD.apply(model)
    explicit = mujoco.mjtIntegrator(model.opt.integrator) in (
        mujoco.mjtIntegrator.mjINT_EULER,
        mujoco.mjtIntegrator.mjINT_RK4,
    )
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST if explicit else mujoco.mjtIntegrator.mjINT_RK4
    model.opt.timestep = nominal.model.opt.timestep / SUBSTEPS
    return replace(nominal, model=model, frame_skip=nominal.frame_skip * SUBSTEPS)
