"""Motion clips out of the states that a task shows, a dream's or a recording's.

A state leaves out what the dynamics do not depend on, such as how far a Hopper has come: that is filled in from the
velocities, by the trapezoid rule, which agrees with a replay up to O(dt^2). Angles are followed through whole turns.

# B clips, T frames, S numbers of a state
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from ..mechanics.control_model import check_motors, control_model
from ..tasks.registry import cached_by_spec
from .clip import MotionClip
from .state_motion import StateMotion


def clips_of_states(task: str, states: Any, action: Any = None) -> list[MotionClip]:
    """A clip of each of B series of states.

    Args:
        task: Id of the task.
        states: (B, T, S) SI; numbers that are not finite stay so.
        action: (B, T - 1, nu) in the task's own units; None: unknown.

    Raises:
        TaskError: There is no such task.
        ClipError: The states or actions are not of this task's sizes, or its motors have a state of their own, which
            no clip holds.

    Example:
        >>> clips_of_states("wmenv/Hopper-v0", np.zeros((2, 10, 11)))[1].frames
        10
    """
    m = control_model(task)
    check_motors(m)
    states = _numbers("states", states)
    if states.ndim != 3:
        raise ClipError(f"states: expected shape (B, T, S), got {states.shape}")
    wanted = (len(states), states.shape[1] - 1, len(m.low))
    actions = [None] * len(states) if action is None else _numbers("action", action)
    if isinstance(actions, np.ndarray) and actions.shape != wanted:
        raise ClipError(f"action: expected shape {wanted} for these states of {task}, got {actions.shape}")
    reader = _reader(task)
    with np.errstate(invalid="ignore"):
        qpos, qvel = reader.read(states)
        degree = reader.degrees
        turning, unseen = reader.turns[degree], (reader.seen_qvel & ~reader.seen_qpos)[degree]
        qpos[..., turning] = np.unwrap(qpos[..., turning], axis=1)
        speed = qvel[..., degree[unseen]]
        qpos[:, 1:, unseen] += np.cumsum((speed[:, 1:] + speed[:, :-1]) / 2 * m.dt, axis=1)
    return [MotionClip(task=task, qpos=q, qvel=v, action=a) for q, v, a in zip(qpos, qvel, actions, strict=True)]


def _numbers(name: str, value: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise ClipError(f"{name}: expected an array of numbers, got {type(value).__name__}: {error}") from error


@cached_by_spec
def _reader(task: str) -> StateMotion:
    return StateMotion(task)
