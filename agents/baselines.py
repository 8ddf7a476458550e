"""What a dreamed agent is measured against: random actions, no action, and PPO on the real task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wmenv import InputError

from .config import REAL_PPO, PPOConfig, with_options
from .imagine import load_model, start_policy, train_policy
from .policy import Policy
from .progress import Progress

if TYPE_CHECKING:
    from wmenv import WorldModel

PREDEFINED = ("random", "zero")
"""Policies that need no training, by name."""


class RandomPolicy:
    """Draws every action uniformly between the bounds."""

    def __init__(self, low: ArrayLike, high: ArrayLike, seed: int = 0) -> None:
        """Bounds (A,) in the task's own unit."""
        self._low, self._high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self._generator = np.random.default_rng(seed)

    def reset(self, mask: ArrayLike | None = None) -> None:
        """Nothing to forget."""

    def act(self, obs: Any) -> NDArray[np.float32]:
        """One action (B, A) for each row of `obs`."""
        return self._generator.uniform(self._low, self._high, (len(obs), len(self._low))).astype(np.float32)


class ZeroPolicy:
    """Always does nothing: zero, or the bound nearest to it."""

    def __init__(self, low: ArrayLike, high: ArrayLike) -> None:
        """Bounds (A,) in the task's own unit."""
        self._action = np.clip(0.0, np.asarray(low, np.float32), np.asarray(high, np.float32)).astype(np.float32)

    def reset(self, mask: ArrayLike | None = None) -> None:
        """Nothing to forget."""

    def act(self, obs: Any) -> NDArray[np.float32]:
        """The same action for each row of `obs`, (B, A)."""
        return np.tile(self._action, (len(obs), 1))


def predefined(name: str, low: ArrayLike, high: ArrayLike, seed: int = 0) -> RandomPolicy | ZeroPolicy:
    """The policy of that name.

    Args:
        name: "random" or "zero".
        low: Lower bounds (A,) of the actions, in the task's own unit.
        high: Upper bounds (A,).
        seed: Seed of the random one.

    Raises:
        InputError: The name is another.
    """
    if name == "random":
        return RandomPolicy(low, high, seed)
    if name == "zero":
        return ZeroPolicy(low, high)
    raise InputError(f"policy: expected {' or '.join(PREDEFINED)} or a policy folder, got {name!r}")


def train_real(
    task: str,
    model: WorldModel | str | Path,
    steps: int,
    out: str | Path,
    *,
    config: PPOConfig | None = None,
    seed: int = 0,
    world: Any = None,
    progress: Progress | None = None,
    **options: Any,
) -> Policy:
    """PPO on the real task, with the observations that the dreamed agent has: the baseline of the proof.

    Args:
        task: Id of the real task.
        model: The world model whose encoder makes the observations.
        steps: Real steps granted; at most these many are taken, see `fit_rollout`.
        out: Folder of the policy.
        config: Hyper-parameters; None for `REAL_PPO`.
        seed: Seed of weights, environments and minibatches.
        world: A `physics.World`, or None for the nominal one.
        progress: Told how far it is.
        **options: Single fields of `config`.

    Returns:
        The policy, already saved in `out`.

    Raises:
        InputError: An argument is out of range.
        TrainingError: A reward or a weight is not finite.
    """
    from .real_env import make_real_vec_env

    config, steps = fit_rollout(with_options(config or REAL_PPO, options), steps)
    model = load_model(model)
    policy = start_policy(model, config, seed=seed, init=None, trained_on="real")
    env = make_real_vec_env(task, model, config.num_envs, world=world)
    return train_policy(policy, env, steps, out, config, seed=seed, progress=progress)


def fit_rollout(config: PPOConfig, steps: int) -> tuple[PPOConfig, int]:
    """Shortens the rollout so that whole rollouts come as close to `steps` as they can without going over.

    A baseline with more real steps than it was granted would be no baseline.

    Args:
        config: Its rollout is the longest allowed.
        steps: Steps granted.

    Returns:
        The config and the steps that its rollouts make, at most `steps`.

    Raises:
        InputError: `steps` is not enough for one step of each environment.
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < config.num_envs:
        raise InputError(f"steps: expected an integer >= num_envs = {config.num_envs}, got {steps!r}")
    per_env = steps // config.num_envs
    updates = -(-per_env // config.rollout)
    rollout = per_env // updates
    minibatches = max(1, config.minibatches * rollout // config.rollout)
    return replace(config, rollout=rollout, minibatches=minibatches), rollout * updates * config.num_envs
