"""The cheap tracker: at every control step, the action whose outcome comes nearest to the clip's next state.

Computed torque inverts the mass matrix; with contacts, limits and tendons that is not what happens within a control
step. So the step itself is inverted: it is simulated with every motor pushed a little, which gives the Jacobian of the
next state to the action, contacts included.

# B clips, U motors
"""

from __future__ import annotations

from dataclasses import dataclass, field

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..mechanics.control_model import ControlModel
from ..mechanics.simulator import Simulator
from ..mechanics.tangent import Tangent
from .least_squares import box_least_squares
from .reference import LARGEST, Ahead

Array = NDArray[np.float64]
STEPS = np.array((0.0, 0.25, 0.5, 1.0))
"""Lengths at which a Gauss-Newton step is tried: where a contact opens, the linear model promises too much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedTorque:
    """One-step inverse of the simulator by Gauss-Newton steps inside the motors' limits. Needs no actions of the clip.

    Args:
        lookahead: s, how much an error of velocity counts against one of position: as what it grows to in this time.
        push: Size of the trial push, in units of half a motor's range.
        rounds: Gauss-Newton steps per control step.
        ridge: Weight of staying at the last action, relative to what motors do.
    """

    lookahead: float = 0.05
    push: float = 0.1
    rounds: int = 2
    ridge: float = 1e-4
    horizon: int = field(default=1, init=False)

    def start(self, m: ControlModel, rows: int, threads: int = 0) -> ComputedTorqueRun:
        """A run over `rows` clips of `m`."""
        return ComputedTorqueRun(self, m, rows, threads)


class ComputedTorqueRun:
    """`ComputedTorque` at work on B clips; remembers the last action."""

    def __init__(self, config: ComputedTorque, m: ControlModel, rows: int, threads: int) -> None:
        self._config, self._m, self._motors = config, m, len(m.low)
        self._slopes = Simulator(m, rows * (self._motors + 1), threads)
        self._steps = Simulator(m, rows * len(STEPS), threads)
        self._error = StateError(m, config.lookahead)
        self._action = np.broadcast_to((m.low + m.high) / 2, (rows, self._motors)).copy()

    def act(self, qpos: Array, qvel: Array, ahead: Ahead) -> Array:
        """Actions (B, U) from states (B, nq), (B, nv)."""
        for _ in range(self._config.rounds):
            self._improve(qpos, qvel, ahead)
        return self._action.copy()

    @property
    def reached(self) -> tuple[Array, Array]:
        """States (B, nq), (B, nv) to which the last actions lead."""
        return self._reached

    def _improve(self, qpos: Array, qvel: Array, ahead: Ahead) -> None:
        """One damped Gauss-Newton step: the best of some points on the way to where the linear model is best."""
        m, action = self._m, self._action
        sign = np.where(action > (m.low + m.high) / 2, -1.0, 1.0)  # towards the middle: a push beyond a limit is none
        push = self._config.push * sign * (m.high - m.low) / 2  # (B, U)
        tried = np.repeat(action[:, None], self._motors + 1, axis=1)
        tried[:, np.arange(1, self._motors + 1), np.arange(self._motors)] += push
        error, _, _ = self._outcome(self._slopes, tried, qpos, qvel, ahead)  # (B, U + 1, 2 nv)
        jacobian = np.swapaxes((error[:, 1:] - error[:, :1]) / push[:, :, None], 1, 2)
        aim = box_least_squares(jacobian, -error[:, 0], action, m.low, m.high, self._config.ridge)
        tried = action[:, None] + STEPS[:, None] * (aim - action)[:, None]
        error, q, v = self._outcome(self._steps, tried, qpos, qvel, ahead)
        best = np.arange(len(tried)), (error**2).sum(-1).argmin(axis=1)
        self._action, self._reached = tried[best], (q[best], v[best])

    def _outcome(
        self, simulator: Simulator, action: Array, qpos: Array, qvel: Array, ahead: Ahead
    ) -> tuple[Array, Array, Array]:
        """Errors (B, K, 2 nv) and states after each of K actions (B, K, U)."""
        rows, count = action.shape[:2]
        q, v = (np.repeat(x, count, axis=0) for x in (qpos, qvel))
        out = simulator.rollout(q, v, action.reshape(-1, 1, self._motors))
        q, v = out.qpos.reshape(rows, count, -1), out.qvel.reshape(rows, count, -1)
        error = self._error(q, v, ahead.qpos[:, :1], ahead.qvel[:, :1])
        error = np.where(out.diverged.reshape(rows, count, 1), LARGEST, error)  # its numbers mean nothing
        return error, q, v


class StateError:
    """Differences of states as lengths, (..., 2 nv) m: each joint's by its lever, velocities by a time."""

    def __init__(self, m: ControlModel, lookahead: float) -> None:
        self._tangent, self._lever, self._lookahead = Tangent(m.model), levers(m.model), lookahead

    def __call__(self, qpos: Array, qvel: Array, ref_qpos: Array, ref_qvel: Array) -> Array:
        """Error of states (..., nq), (..., nv) against references that broadcast to their shape."""
        position = self._tangent.difference(ref_qpos, qpos) * self._lever
        velocity = (qvel - ref_qvel) * (self._lever * self._lookahead)
        return np.clip(np.concatenate((position, velocity), axis=-1), -LARGEST, LARGEST)


def levers(model: mujoco.MjModel) -> Array:
    """How far a unit of each degree of freedom moves a body at most, (nv,): 1 for slides, metres per rad for hinges.

    Taken at the model's own pose, between the centres of mass of the bodies.
    """
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    lever = np.full(model.nv, 0.01)  # a wheel whose axle is its centre moves nothing, and yet turns
    for body in range(1, model.nbody):
        jacobian = np.empty((3, model.nv))
        mujoco.mj_jacBodyCom(model, data, jacobian, None, body)
        lever = np.maximum(lever, np.linalg.norm(jacobian, axis=0))
    return lever
