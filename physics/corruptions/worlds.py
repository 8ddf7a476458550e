"""Motions of another physics: the clip's own actions from its own first state, in a changed model.

The change starts from the clip's own world, so that nothing but the named constant differs from the real clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..mechanics.control_model import control_model
from ..mechanics.simulator import Simulator
from ..world import as_world
from .core import Generators, edited
from .structure import Robot

Array = NDArray[np.float64]
Clips = list[MotionClip]
Found = list[MotionClip | None]


def gravity(clips: Clips, robot: Robot, rngs: Generators, strength: float) -> Found:
    """Gravity is 0.7 times its size; None where there is no gravity."""
    if not np.asarray(robot.m.model.opt.gravity).any():
        return [None] * len(clips)
    return resimulate(clips, lambda model: _scale(model.opt.gravity, 1 - 0.3 * strength))


def mass(clips: Clips, robot: Robot, rngs: Generators, strength: float) -> Found:
    """Masses and inertias of all bodies are 1.5 times their size."""

    def change(model: mujoco.MjModel) -> None:
        _scale(model.body_mass, 1 + 0.5 * strength)
        _scale(model.body_inertia, 1 + 0.5 * strength)

    return resimulate(clips, change)


def friction(clips: Clips, robot: Robot, rngs: Generators, strength: float) -> Found:
    """Friction coefficients of all contacts are 0.3 times their size."""
    return resimulate(clips, lambda model: scale_friction(model, max(0.0, 1 - 0.7 * strength)))


def damping(clips: Clips, robot: Robot, rngs: Generators, strength: float) -> Found:
    """Damping of all joints is 3 times its size; None where there is none."""
    if not np.asarray(robot.m.model.dof_damping).any():
        return [None] * len(clips)
    return resimulate(clips, lambda model: _scale(model.dof_damping, 1 + 2 * strength))


def gear(clips: Clips, robot: Robot, rngs: Generators, strength: float) -> Found:
    """Actuators have 0.6 times their strength."""
    return resimulate(clips, lambda model: _scale(model.actuator_gear, max(0.0, 1 - 0.4 * strength)))


def resimulate(
    clips: Clips,
    change: Callable[[mujoco.MjModel], None],
    executed: Callable[[int, Array], Array] | None = None,
) -> Found:
    """What the clips' actions do in a changed model; None where there are no actions or the simulation diverges.

    Args:
        clips: Of one task.
        change: Changes a copy of the model of the clip's own world in place.
        executed: The actions that really are followed, from a clip's number and its actions; the clip keeps claiming
            its own. None: the same.
    """
    out: Found = [None] * len(clips)
    alike: dict[tuple, list[int]] = {}
    for i, clip in enumerate(clips):
        if clip.action is not None:
            alike.setdefault((as_world(clip.world), clip.frames), []).append(i)
    for (world, _), members in alike.items():
        m = control_model(clips[members[0]].task, world)
        model = m.model.__copy__()
        change(model)
        mujoco.mj_setConst(model, mujoco.MjData(model))
        first = [clips[i] for i in members]
        claimed = [np.asarray(clip.action) for clip in first]
        action = claimed if executed is None else [executed(i, a) for i, a in zip(members, claimed, strict=True)]
        qpos, qvel = np.stack([clip.qpos[0] for clip in first]), np.stack([clip.qvel[0] for clip in first])
        gone = Simulator(replace(m, model=model), len(first)).rollout(qpos, qvel, np.stack(action))
        for row, i in enumerate(members):
            if not gone.diverged[row].any():
                path = np.concatenate((qpos[row][None], gone.qpos[row]))
                speed = np.concatenate((qvel[row][None], gone.qvel[row]))
                out[i] = edited(clips[i], qpos=path, qvel=speed)
    return out


def scale_friction(model: mujoco.MjModel, factor: float) -> None:
    """Multiplies the friction of every contact, in place."""
    _scale(model.geom_friction, factor)
    _scale(model.pair_friction, factor)


def _scale(array: Array, factor: float) -> None:
    array *= factor
