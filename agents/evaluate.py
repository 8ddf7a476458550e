"""How good a policy is, on the real task or in a dream, by a protocol that cannot flatter.

The episodes are fixed before the first step: numbers 0 to E-1, each begun with its own seed, each run to its end and
counted, whatever its length. (Taking the first E episodes that finish would favour the short ones.) They are the same
for every policy, so that two policies meet the same starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wmenv import InputError, ranges

from .actor import Actor
from .baselines import PREDEFINED, predefined
from .episodes import run_episodes, run_first_episodes
from .imagine import load_model
from .policy import Policy
from .progress import Progress

if TYPE_CHECKING:
    from wmenv import WorldModel

MAX_DREAMS = 256
"""Dreams run together in an evaluation; more episodes are run in turns, with the same results."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Returns of a fixed list of episodes.

    Attributes:
        policy: What was evaluated.
        task: Id of the task.
        place: "real" or "dream".
        seed: Episode i began with seed + i.
        returns: Undiscounted sum of rewards of each episode, in the task's own unit.
        lengths: Steps of each episode.
        terminated: Whether each ended by the task's own rule, not by its time limit.
    """

    policy: str
    task: str
    place: str
    seed: int
    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    terminated: tuple[bool, ...]

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return len(self.returns)

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def sem(self) -> float | None:
        """Standard error of the mean; None for a single episode."""
        return float(np.std(self.returns, ddof=1) / np.sqrt(self.episodes)) if self.episodes > 1 else None

    @cached_property
    def ci95(self) -> tuple[float, float]:
        """Percentile bootstrap interval of the mean: 10,000 resamples, always the same."""
        generator = np.random.default_rng(0)
        returns = np.asarray(self.returns)
        means = returns[generator.integers(len(returns), size=(10_000, len(returns)))].mean(1)
        low, high = np.percentile(means, [2.5, 97.5])
        return float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        """JSON values: the summary and every episode."""
        return {
            "policy": self.policy,
            "task": self.task,
            "place": self.place,
            "seed": self.seed,
            "episodes": self.episodes,
            "mean": self.mean,
            "sem": self.sem,
            "ci95": list(self.ci95),
            "mean_length": float(np.mean(self.lengths)),
            "terminated": int(np.sum(self.terminated)),
            "returns": list(self.returns),
            "lengths": list(self.lengths),
        }

    def __str__(self) -> str:
        """One line for a person."""
        low, high = self.ci95
        return (
            f"{self.policy} on {self.task} ({self.place}): {self.mean:.2f} "
            f"[95% {low:.2f} to {high:.2f}], {self.episodes} episodes of {np.mean(self.lengths):.0f} steps"
        )


def evaluate(
    policy: Policy | Actor | str | Path,
    *,
    task: str | None = None,
    model: WorldModel | str | Path | None = None,
    episodes: int = 50,
    seed: int = 10_000,
    num_envs: int = 10,
    world: Any = None,
    horizon: int | None = None,
    deterministic: bool = True,
    device: str = "auto",
    progress: Progress | None = None,
) -> Evaluation:
    """Runs `episodes` fixed episodes.

    Args:
        policy: "random", "zero", a policy folder, a `Policy`, or any object with `reset(mask)` and `act(obs)` (see
            `actor.Actor`), which reads states, in a dream latents.
        task: Evaluate on this real task. Without task and model: on the task that the policy was made for.
        model: Evaluate in this world model's dream, from the first moments of recorded episodes. A policy of another
            model reads it through `Policy.reading`.
        episodes: How many.
        seed: Episode i begins with seed + i. Training uses small seeds; the default keeps clear of them.
        num_envs: Real environments that run together; the result of a deterministic policy depends on it by rounding
            alone, which unstable tasks enlarge.
        world: A `physics.World` for the real task, or None for the nominal one.
        horizon: Dreamed steps at most; None for the task's own limit.
        deterministic: Mean actions if True, else samples.
        device: Where a dream runs.
        progress: Told how many episodes have ended.

    Returns:
        The returns and lengths in the order of the seeds.

    Raises:
        InputError: Both or neither of task and model, a number out of range, a task without a limit of steps, or a
            model whose latents the policy cannot read.
        CheckpointError: The policy or the model is damaged.
        TaskError: The task is unknown.
    """
    for name, value in (("episodes", episodes), ("num_envs", num_envs)):
        ranges.check_whole(name, value, 1)
    if task is not None and model is not None:
        raise InputError("task: expected either task or model, got both; evaluate twice")
    actor: Policy | Actor | str
    if isinstance(policy, (str, Path)):
        name = str(policy)
        actor = name if name in PREDEFINED else Policy.load(policy)
    else:
        name, actor = type(policy).__name__.lower(), policy
    if model is not None:
        dreamed = load_model(model)
        _check_task(actor, dreamed.config.task)
        actor = actor.reading(dreamed) if isinstance(actor, Policy) else actor
        actor = _actor(actor, dreamed.config.action_low, dreamed.config.action_high, seed, deterministic)
        outcome = _dream(actor, dreamed, episodes, seed, horizon, device, progress)
        return Evaluation(policy=name, task=dreamed.config.task, place="dream", seed=seed, **outcome)
    if task is None:
        if not isinstance(actor, Policy):
            raise InputError(f"task: expected a task or a model to evaluate {name!r} on, got neither")
        task = actor.config.task
    _check_task(actor, task)
    outcome = _real(actor, task, episodes, seed, num_envs, world, deterministic, progress)
    return Evaluation(policy=name, task=task, place="real", seed=seed, **outcome)


def _check_task(actor: Any, task: str) -> None:
    if isinstance(actor, Policy) and actor.config.task != task:
        raise InputError(f"task: expected {actor.config.task}, for which the policy was made, got {task}")


def _actor(
    policy: Policy | Actor | str, low: Sequence[float], high: Sequence[float], seed: int, deterministic: bool
) -> Actor:
    actor = predefined(policy, low, high, seed) if isinstance(policy, str) else policy
    if isinstance(actor, Policy):
        actor.seed(seed)
        return actor if deterministic else _Sampling(actor)
    return actor


@dataclass(frozen=True, slots=True)
class _Sampling:
    """A policy that acts with its noise."""

    policy: Policy

    def reset(self, mask: Any) -> None:
        self.policy.reset(mask)

    def act(self, obs: Any) -> NDArray[np.float32]:
        return self.policy.act(obs, deterministic=False)


def _dream(
    actor: Actor,
    model: WorldModel,
    episodes: int,
    seed: int,
    horizon: int | None,
    device: str,
    progress: Progress | None,
) -> dict[str, Any]:
    """Each dream environment dreams exactly one of the episodes; noise and starts depend on its seed alone."""
    parts = []
    for first in range(0, episodes, MAX_DREAMS):
        env = gym.make_vec(
            "wmenv/Dream-v0",
            num_envs=min(MAX_DREAMS, episodes - first),
            model=model,
            starts="initial",
            horizon=horizon,
            device=device,
        )
        try:
            parts.append(run_first_episodes(actor, env, seed + first))
        finally:
            env.close()
        if progress:
            progress(min(first + MAX_DREAMS, episodes), episodes, {})
    return {key: tuple(x for part in parts for x in part[key]) for key in parts[0]}


def _real(
    policy: Policy | Actor | str,
    task: str,
    episodes: int,
    seed: int,
    num_envs: int,
    world: Any,
    deterministic: bool,
    progress: Progress | None,
) -> dict[str, Any]:
    from .real_env import RealObserver, check_limited, make_task

    model = getattr(policy, "model", None)
    envs: list[gym.Env] = []
    try:
        for _ in range(min(num_envs, episodes)):
            envs.append(make_task(task, model, world=world))
            check_limited(envs[-1], task)
        space: Any = envs[0].action_space
        actor = _actor(policy, space.low, space.high, seed, deterministic)
        return run_episodes(actor, envs, RealObserver(model, len(envs)), episodes, seed, progress)
    finally:
        for env in envs:
            env.close()
