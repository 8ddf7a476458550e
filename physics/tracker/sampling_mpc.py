"""The thorough tracker: before every control step it simulates many ways to act and takes the best over H steps.

Predictive sampling: the last plan, shifted, is perturbed; candidates of all clips roll out in one call. It sees what
`ComputedTorque` cannot, that following the next frame exactly may lose the frames after it, as where a robot must fall
the way the clip falls.

Source: predictive sampling of Howell et al., arXiv 2212.00541, algorithm 1, with noise that shrinks by rounds.

# B clips, S candidates, H steps, U motors
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..mechanics.control_model import ControlModel
from ..mechanics.simulator import Simulator
from .computed_torque import ComputedTorque, StateError
from .reference import Ahead

Array = NDArray[np.float64]
SEEDS = 3  # plans that are tried unperturbed


class Plan(NamedTuple):
    """What is to be done, and the state to which it leads."""

    action: Array  # (B, H, U)
    qpos: Array  # (B, nq)
    qvel: Array  # (B, nv)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingMPC:
    """Predictive sampling around the last plan and around what `ComputedTorque` would do next.

    Args:
        horizon: H, control steps that a candidate is simulated.
        samples: S, perturbed plans of a clip in a round.
        rounds: How often the best plan is perturbed anew, each time with half the noise.
        noise: Standard deviation of the first round's perturbation, in units of half a motor's range.
        use_actions: Begin every plan with the clip's own actions where it has some. Off, the tracker is blind to them.
        inverse: What begins the plans, and whose `lookahead` weighs errors of velocity in the cost.
        seed: Of the perturbations, which are the same for every clip.
    """

    horizon: int = 4
    samples: int = 24
    rounds: int = 2
    noise: float = 0.2
    use_actions: bool = False
    inverse: ComputedTorque = field(default_factory=ComputedTorque)
    seed: int = 0

    def start(self, m: ControlModel, rows: int, threads: int = 0) -> SamplingMPCRun:
        """A run over `rows` clips of `m`."""
        return SamplingMPCRun(self, m, rows, threads)


class SamplingMPCRun:
    """`SamplingMPC` at work on B clips; remembers the plans and where they lead."""

    def __init__(self, config: SamplingMPC, m: ControlModel, rows: int, threads: int) -> None:
        self._config, self._m, self._half = config, m, (m.high - m.low) / 2
        self._simulator = Simulator(m, rows * (config.samples + SEEDS), threads)
        self._first = config.inverse.start(m, rows, threads)
        self._last = config.inverse.start(m, rows, threads)
        self._error = StateError(m, config.inverse.lookahead)
        self._rng = np.random.default_rng([config.seed, 0x6D7063])
        self._plan: Plan | None = None

    def act(self, qpos: Array, qvel: Array, ahead: Ahead) -> Array:
        """Actions (B, U) from states (B, nq), (B, nv)."""
        follow = self._follow(qpos, qvel, ahead)
        mended = follow.copy()
        mended[:, 0] = self._first.act(qpos, qvel, ahead)
        given = follow if ahead.action is None or not self._config.use_actions else ahead.action
        best = self._best(np.stack((follow, mended, given), axis=1), self._config.noise, qpos, qvel, ahead)
        for k in range(1, self._config.rounds):
            seeds = np.repeat(best.action[:, None], SEEDS, axis=1)
            best = self._best(seeds, self._config.noise * 0.5**k, qpos, qvel, ahead)
        self._plan = best
        return best.action[:, 0].copy()

    def _follow(self, qpos: Array, qvel: Array, ahead: Ahead) -> Array:
        """The last plan (B, H, U), moved on by a step: its new end is what the inverse would do there."""
        steps = ahead.qpos.shape[1]
        if self._plan is None:
            actions = []
            for h in range(steps):
                actions.append(self._last.act(qpos, qvel, _from(ahead, h)))
                qpos, qvel = self._last.reached
            return np.stack(actions, axis=1)
        end = self._last.act(self._plan.qpos, self._plan.qvel, _from(ahead, steps - 1))
        return np.concatenate((self._plan.action[:, 1:], end[:, None]), axis=1)

    def _best(self, seeds: Array, noise: float, qpos: Array, qvel: Array, ahead: Ahead) -> Plan:
        """The cheapest of the seeds (B, SEEDS, H, U) and of perturbations of the second."""
        rows, _, steps, motors = seeds.shape
        drawn = self._rng.standard_normal((self._config.samples, steps, motors)) * (noise * self._half)
        tried = np.concatenate((seeds, np.clip(seeds[:, 1:2] + drawn, self._m.low, self._m.high)), axis=1)
        count = tried.shape[1]
        q, v = (np.repeat(x, count, axis=0) for x in (qpos, qvel))
        out = self._simulator.rollout(q, v, tried.reshape(-1, steps, motors))
        q, v = (x.reshape(rows, count, steps, -1) for x in (out.qpos, out.qvel))
        error = self._error(q, v, ahead.qpos[:, None], ahead.qvel[:, None])
        cost = ((error**2).sum(-1) * ahead.valid[:, None]).sum(-1)  # (B, S)
        cost = np.where(out.diverged.any(axis=1).reshape(rows, count), np.inf, cost)
        pick = np.arange(rows), cost.argmin(axis=1)
        return Plan(tried[pick], q[(*pick, -1)], v[(*pick, -1)])


def _from(ahead: Ahead, h: int) -> Ahead:
    return Ahead(ahead.qpos[:, h:], ahead.qvel[:, h:], None, ahead.valid[:, h:])
