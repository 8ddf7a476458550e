"""Running a list of episodes that was fixed beforehand, each to its end: the core of every evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from .actor import Actor
from .progress import Progress


class Observer(Protocol):
    """Turns what single environments return into what the actor reads; keeps one memory a row."""

    def begin(self, rows: NDArray[np.int64], obs: Sequence[Any]) -> None:
        """Rows (K,) begin an episode with these observations."""

    def advance(self, rows: NDArray[np.int64], obs: Sequence[Any]) -> None:
        """Rows (K,) go on with these observations."""

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The actor's observations (K, O)."""
        ...


Outcome = dict[str, tuple[Any, ...]]
"""returns, lengths and terminated, one entry an episode."""


def run_episodes(
    actor: Actor,
    envs: Sequence[gym.Env],
    observer: Observer,
    episodes: int,
    seed: int,
    progress: Progress | None = None,
) -> Outcome:
    """Runs episodes 0 to `episodes` - 1 on single environments, each as soon as one is free.

    Args:
        actor: Acts on all environments in every step, those that wait for the last episodes to end too, so that it can
            keep a memory for each.
        envs: Single environments with a time limit.
        observer: As many rows as there are environments.
        episodes: How many.
        seed: Episode i is reset with seed + i.
        progress: Told how many have ended.

    Returns:
        One entry an episode, in the order of the seeds.
    """
    returns, lengths, ended = np.zeros(episodes), np.zeros(episodes, int), np.zeros(episodes, bool)
    envs = envs[:episodes]
    everyone = np.arange(len(envs))
    episode_of = np.full(len(envs), -1)
    begun = finished = 0
    while finished < episodes:
        fresh = np.flatnonzero(episode_of < 0)[: episodes - begun]
        if len(fresh):
            episode_of[fresh] = begun + np.arange(len(fresh))
            begun += len(fresh)
            actor.reset(np.isin(everyone, fresh))
            observer.begin(fresh, [envs[int(row)].reset(seed=int(seed + episode_of[row]))[0] for row in fresh])
        actions = actor.act(observer.read(everyone))
        going, next_obs = [], []
        for row in np.flatnonzero(episode_of >= 0):
            obs, reward, terminated, truncated, _ = envs[int(row)].step(actions[row])
            episode = episode_of[row]
            returns[episode] += float(reward)
            lengths[episode] += 1
            if terminated or truncated:
                ended[episode] = terminated
                episode_of[row] = -1
                finished += 1
                if progress:
                    progress(finished, episodes, {"return": float(returns[episode])})
            else:
                going.append(row)
                next_obs.append(obs)
        if going:
            observer.advance(np.asarray(going), next_obs)
    return _outcome(returns, lengths, ended)


def run_first_episodes(actor: Actor, env: gym.vector.VectorEnv, seed: int) -> Outcome:
    """Runs a vector environment until the first episode of every member has ended.

    Args:
        actor: Acts on the batch.
        env: Any autoreset mode: what happens in a member after its first episode is ignored.
        seed: Member i is reset with seed + i.

    Returns:
        One entry a member.
    """
    count = env.num_envs
    obs, _ = env.reset(seed=seed)
    actor.reset(np.ones(count, bool))
    running = np.ones(count, bool)
    returns, lengths, ended = np.zeros(count), np.zeros(count, int), np.zeros(count, bool)
    while running.any():
        obs, reward, terminated, truncated, _ = env.step(actor.act(obs))
        returns += np.where(running, reward, 0.0)
        lengths += running
        ended |= running & np.asarray(terminated)
        running &= ~np.asarray(terminated | truncated)
    return _outcome(returns, lengths, ended)


def _outcome(returns: NDArray[np.float64], lengths: NDArray[np.int64], ended: NDArray[np.bool_]) -> Outcome:
    return {
        "returns": tuple(map(float, returns)),
        "lengths": tuple(map(int, lengths)),
        "terminated": tuple(map(bool, ended)),
    }
