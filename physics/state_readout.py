"""From a task's state vectors to the motion that the verifier judges: `StateReader` backwards.

A state leaves out what the dynamics do not depend on, such as how far a Hopper has come. That is filled in from the
velocities, by the trapezoid rule, so that it agrees with a replay up to O(dt^2); what a task holds still stays at rest.

# B motions, T frames, S state coordinates
"""

from __future__ import annotations

from functools import lru_cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from .clip import MotionClip
from .control_model import control_model
from .errors import TaskError
from .tasks.coordinates import coordinates_of
from .tasks.registry import find_spec

Array = NDArray[np.float64]


class StateReadout:
    """Reads positions and velocities out of the states of one task.

    Args:
        task: Id of the task.

    Raises:
        TaskError: There is no such task, or its motors have a state of their own, which no clip holds.

    Example:
        >>> readout = StateReadout("wmenv/Hopper-v0")
        >>> qpos, qvel = readout.motion(np.zeros((4, 10, readout.size)))
        >>> qpos.shape, qvel.shape
        ((4, 10, 6), (4, 10, 6))
    """

    def __init__(self, task: str) -> None:
        m = control_model(task)
        if m.model.na:
            raise TaskError(f"task: expected motors without a state of their own, got {task}, which has {m.model.na}")
        self.task = task
        self._m = m
        found = coordinates_of(m.model, find_spec(task))
        self.size = len(found)
        self._columns = {
            kind: ([i for i, c in enumerate(found) if c.kind == kind], [c.index for c in found if c.kind == kind])
            for kind in ("qpos", "cos", "sin", "qvel")
        }
        self._rest = np.array(m.model.qpos0, np.float64)
        known = {*self._columns["qpos"][1], *self._columns["cos"][1]}
        self._unseen = [(q, v) for q, v in _travel(m.model) if q not in known and v in self._columns["qvel"][1]]

    def motion(self, states: Array) -> tuple[Array, Array]:
        """States (B, T, S), SI -> qpos (B, T, nq) and qvel (B, T, nv). Numbers that are not finite stay so.

        Raises:
            TaskError: The states are not of this task.
        """
        states = np.asarray(states, np.float64)
        if states.ndim != 3 or states.shape[-1] != self.size:
            raise TaskError(f"states: expected (B, T, {self.size}) for {self.task}, got {states.shape}")
        b, t, _ = states.shape
        qpos, qvel = np.tile(self._rest, (b, t, 1)), np.zeros((b, t, self._m.model.nv))
        (at, index), (cos, turning), (sin, _) = (self._columns[kind] for kind in ("qpos", "cos", "sin"))
        qpos[..., index] = states[..., at]
        qpos[..., turning] = np.unwrap(np.arctan2(states[..., sin], states[..., cos]), axis=1)
        at, index = self._columns["qvel"]
        qvel[..., index] = states[..., at]
        for q, v in self._unseen:
            step = (qvel[:, 1:, v] + qvel[:, :-1, v]) / 2 * self._m.dt
            qpos[:, 1:, q] = self._rest[q] + np.cumsum(step, axis=1)
        return qpos, qvel

    def clips(self, states: Array, action: Array | None) -> list[MotionClip]:
        """A clip of each of the states (B, T, S), with the actions (B, T - 1, nu) or without.

        Raises:
            TaskError: The states are not of this task.
            ClipError: The actions do not fit.
        """
        qpos, qvel = self.motion(states)
        acts = [None] * len(qpos) if action is None else action
        return [MotionClip(task=self.task, qpos=q, qvel=v, action=a) for q, v, a in zip(qpos, qvel, acts, strict=True)]


@lru_cache(maxsize=16)
def state_readout(task: str) -> StateReadout:
    """The read-out of `task`; the same object for the same task."""
    return StateReadout(task)


def _travel(model: mujoco.MjModel) -> list[tuple[int, int]]:
    """(index into qpos, index into qvel) of every coordinate whose velocity is its plain derivative."""
    pairs = []
    for j in range(model.njnt):
        kind, q, v = mujoco.mjtJoint(model.jnt_type[j]), int(model.jnt_qposadr[j]), int(model.jnt_dofadr[j])
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            pairs += [(q + axis, v + axis) for axis in range(3)]
        elif kind != mujoco.mjtJoint.mjJNT_BALL:
            pairs.append((q, v))
    return pairs
