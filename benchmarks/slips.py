"""A real task whose actions slip: with some probability the motors do again what they did last.

That is how a fully observed simulator becomes random (sticky actions: Machado et al. 2018, arXiv 1709.06009, section
5), in a way in which the mean of what may come is a state that never comes. A recording holds the actions that were
wanted.

# B envs, K steps, A action size, T steps of an episode
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from agents.recording.record import record
from wmenv import Episode, EpisodeStore


class SlippingActions:
    """What motors do that are told something else, drawn evenly, at every step; open loop.

    Args:
        low: (A,) lower bounds.
        high: (A,) upper bounds.
        num_envs: B.
        slip: Probability of doing again what was done last.
        seed: Of everything.
    """

    def __init__(self, low: NDArray, high: NDArray, num_envs: int, slip: float, seed: int) -> None:
        self._low, self._high, self._slip = low, high, slip
        self._generator = np.random.default_rng(seed)
        self._done = self._draw(num_envs)

    def actions(self, steps: int) -> NDArray[np.float32]:
        """The next (K, B, A) actions."""
        out = []
        for _ in range(steps):
            slips = self._generator.random((len(self._done), 1)) < self._slip
            self._done = np.where(slips, self._done, self._draw(len(self._done)))
            out.append(self._done)
        return np.stack(out)

    def _draw(self, rows: int) -> NDArray[np.float32]:
        return self._generator.uniform(self._low, self._high, (rows, len(self._low))).astype(np.float32)


def wanted(episode: Episode, low: NDArray, high: NDArray, generator: np.random.Generator) -> Episode:
    """The episode with the actions that were wanted in place of those that were done.

    Where an action was done twice it slipped, and what was wanted instead had been drawn evenly, apart from everything
    else: any even draw has the same distribution together with the rest. At an episode's first step nothing slips.
    """
    action = episode.action.copy()
    slipped = np.flatnonzero((action[1:] == action[:-1]).all(1)) + 1
    action[slipped] = generator.uniform(low, high, (len(slipped), action.shape[1]))
    return dataclasses.replace(episode, action=action)


def record_slipping(task: str, steps: int, slip: float, out: Path, *, seed: int, num_envs: int = 8) -> EpisodeStore:
    """A recording of states under evenly drawn actions that slip; `out` gets the folders "done" and "data"."""
    env = gym.make(task, obs="state")
    box: Any = env.action_space
    env.close()
    actor: Any = SlippingActions(box.low, box.high, num_envs, slip, seed)
    done = record(task, steps, actor, out / "done", obs="state", num_envs=num_envs, seed=seed, num_processes=1)
    generator = np.random.default_rng(seed + 1)
    store = EpisodeStore.create(out / "data", done.info)
    store.append([wanted(episode, box.low, box.high, generator) for episode in done.load()])
    return store


class SlippingPolicy:
    """A policy whose motors slip; for `evaluate` with as many environments as episodes, all of one length.

    Args:
        policy: Says what is wanted.
        slip: Probability of doing again what was done last.
        seed: Of the slips: the same ones for every policy.
    """

    def __init__(self, policy: Policy, slip: float, seed: int) -> None:
        self.model, self._policy, self._slip, self._seed = policy.model, policy, slip, seed
        self.reset()

    def reset(self, mask: Any = None) -> None:
        """Told which rows begin an episode: all."""
        self._generator, self._done = np.random.default_rng(self._seed), None

    def act(self, obs: Any) -> NDArray[np.float32]:
        """What the motors do, (B, A)."""
        action = self._policy.act(obs)
        slips = self._generator.random((len(action), 1)) < self._slip
        if self._done is not None and self._done.shape == action.shape:
            action = np.where(slips, self._done, action)
        self._done = action
        return action
