"""What the linter sees and says: roll-outs and findings.

# T steps, N envs, O numbers of a flattened observation
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong with a dream, or that could not be looked at."""

    code: str
    message: str
    severity: Literal["error", "unchecked"] = "error"


def unchecked(code: str, message: str) -> Finding:
    """A finding that says why something could not be looked at."""
    return Finding(code=code, message=message, severity="unchecked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One roll-out of a SAME_STEP vector environment, every episode's last observation in its place; float64."""

    obs: Array  # (T+1, N, O) as returned: where an episode ended, the next one's first
    after: Array  # (T, N, O) what the step led to: where an episode ended, its last observation
    reward: Array  # (T, N)
    ended: Array  # (T, N) bool
    final_given: Array  # (T, N) bool, what the mask `_final_obs` said
    inside: bool  # every observation lay in the observation space


def sample_actions(envs: VectorEnv, steps: int, seed: int) -> Array:
    """Random actions (T, N, ...)."""
    envs.action_space.seed(seed)
    return np.stack([envs.action_space.sample() for _ in range(steps)])


def roll(envs: VectorEnv, actions: Array, *, seed: int | None, options: dict[str, Any] | None = None) -> Trace:
    """Reset with `seed` and `options`, then take `actions` (T, N, ...)."""
    obs, _ = envs.reset(seed=seed, options=options)
    return go_on(envs, obs, actions)


def go_on(envs: VectorEnv, obs: Array, actions: Array) -> Trace:
    """Take `actions` (T, N, ...) from where the environment stands and shows `obs`."""
    inside = envs.observation_space.contains(obs)
    shown, after, rewards, ends, given = [_flat(obs)], [], [], [], []
    for action in actions:
        obs, reward, terminated, truncated, info = envs.step(action)
        inside &= envs.observation_space.contains(obs)
        shown.append(_flat(obs))
        ended = np.asarray(terminated) | np.asarray(truncated)
        mask = np.asarray(info.get("_final_obs", np.zeros(len(ended), bool)))
        after.append(_with_finals(shown[-1], info.get("final_obs"), mask & ended))
        rewards.append(np.array(reward, dtype=np.float64))
        ends.append(ended)
        given.append(mask.copy())
    return Trace(
        obs=np.stack(shown),
        after=np.stack(after),
        reward=np.stack(rewards),
        ended=np.stack(ends),
        final_given=np.stack(given),
        inside=bool(inside),
    )


def _flat(obs: Array) -> Array:
    return np.array(obs, dtype=np.float64).reshape(len(obs), -1)


def _with_finals(obs: Array, finals: Sequence[Any] | None, mask: Array) -> Array:
    """`obs` (N, O) with the final observations where `mask`."""
    out = obs.copy()
    if finals is not None:
        for i in np.flatnonzero(mask):
            if finals[i] is not None:
                out[i] = np.asarray(finals[i], dtype=np.float64).ravel()
    return out
