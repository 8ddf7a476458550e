"""Positions and velocities out of a task's states, which leave out or wrap what the task does not depend on.

# S numbers of a state, V degrees of freedom
"""

from __future__ import annotations

from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from ..mechanics.control_model import control_model
from ..mechanics.tangent import Tangent
from ..tasks.coordinates import Coordinate, coordinates_of
from ..tasks.registry import find_spec

Array = NDArray[np.float64]


class Motion(NamedTuple):
    """What a state tells of a robot's motion."""

    qpos: Array  # (..., nq), quaternions of unit length
    qvel: Array  # (..., nv)


class StateMotion:
    """Reads the states of one task, as its environment shows them with `obs="state"`.

    Attributes `seen_qpos` and `seen_qvel` (nv,) say which positions and velocities a state tells, `turns` (nv,) which
    positions are angles that it tells but for whole turns; `degrees` (nq,) with which of the nv each number of qpos
    moves.

    Args:
        task: Id of the task.

    Raises:
        TaskError: There is no such task.

    Example:
        >>> motion = StateMotion("wmenv/InvertedPendulum-v0").read([0.1, 0.2, 0.3, 0.4])
        >>> motion.qpos.tolist(), motion.qvel.tolist()
        ([0.1, 0.2], [0.3, 0.4])
    """

    def __init__(self, task: str) -> None:
        model = control_model(task).model
        coordinates = coordinates_of(model, find_spec(task))
        self.task, self.names = task, tuple(c.label for c in coordinates)
        self._tangent, self._rest = Tangent(model), np.array(model.qpos0, np.float64)
        self._qpos, self._qvel = _places(coordinates, "qpos"), _places(coordinates, "qvel")
        (self._turning, self._cos), (_, self._sin) = _places(coordinates, "cos"), _places(coordinates, "sin")
        joints = np.searchsorted(model.jnt_qposadr, self._turning)
        limited = model.jnt_limited[joints] != 0
        self._middle = np.where(limited, model.jnt_range[joints].mean(1), 0.0)  # an angle lies half a turn around it
        degree = self.degrees = _degrees(model)
        self.seen_qpos, self.seen_qvel, self.turns = (np.zeros(model.nv, bool) for _ in range(3))
        self.seen_qpos[degree[np.concatenate((self._qpos[0], self._turning))]] = True
        self.seen_qvel[self._qvel[0]] = True
        self.turns[degree[self._turning]] = True

    def read(self, state: Any) -> Motion:
        """Positions and velocities of states (..., S); where a state tells nothing, those of the model at rest.

        Raises:
            ClipError: The states are not of this task's size.
        """
        state = np.asarray(state, np.float64)
        if state.shape[-1:] != (len(self.names),):
            raise ClipError(f"state: expected {len(self.names)} numbers for {self.task}, got shape {state.shape}")
        qpos = np.broadcast_to(self._rest, (*state.shape[:-1], self._tangent.nq)).copy()
        qvel = np.zeros((*state.shape[:-1], self._tangent.nv))
        qpos[..., self._qpos[0]] = state[..., self._qpos[1]]
        qvel[..., self._qvel[0]] = state[..., self._qvel[1]]
        angle = np.arctan2(state[..., self._sin], state[..., self._cos])
        qpos[..., self._turning] = self._middle + wrapped(angle - self._middle)
        return Motion(self._tangent.normalised(qpos), qvel)


def wrapped(angle: Array) -> Array:
    """Angles in [-pi, pi), rad."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _places(coordinates: tuple[Coordinate, ...], kind: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where numbers of a kind lie in qpos or qvel, and where in the state; in the order of the former."""
    pairs = sorted((c.index, at) for at, c in enumerate(coordinates) if c.kind == kind)
    index, place = np.array(pairs, np.int64).reshape(-1, 2).T
    return index, place


def _degrees(model: mujoco.MjModel) -> NDArray[np.int64]:
    """(nq,) the degree of freedom that each number of qpos moves with; a quaternion's last two share one."""
    out = np.zeros(model.nq, np.int64)
    for joint in range(model.njnt):
        first, degree = int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
        last = int(model.jnt_qposadr[joint + 1]) if joint + 1 < model.njnt else model.nq
        width = (int(model.jnt_dofadr[joint + 1]) if joint + 1 < model.njnt else model.nv) - degree
        out[first:last] = degree + np.minimum(np.arange(last - first), width - 1)
    return out
