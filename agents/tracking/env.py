"""Gymnasium's vector environment over `physics.Practice`, in which PPO learns to follow clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from physics import Practice

FEATURE_BOUND = 10.0
"""Normalised features are clipped here."""


class Normaliser:
    """Features to unit spread; fixed before training, so that a policy is a plain function of what it sees.

    Args:
        mean: (O,).
        std: (O,), > 0.
    """

    def __init__(self, mean: NDArray[np.floating], std: NDArray[np.floating]) -> None:
        self.mean, self.std = np.asarray(mean, np.float64), np.asarray(std, np.float64)

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float32]:
        """(B, O) within +-`FEATURE_BOUND`."""
        return np.clip((features - self.mean) / self.std, -FEATURE_BOUND, FEATURE_BOUND).astype(np.float32)

    @classmethod
    def measure(cls, practice: Practice, steps: int, seed: int) -> Normaliser:
        """From `steps` of acting at random, as an untrained policy does."""
        m, rng = practice.m, np.random.default_rng(seed)
        seen = [practice.reset(seed)]
        for _ in range(steps):
            half = (m.high - m.low) / 2
            noise = rng.standard_normal((len(seen[0]), len(m.low))) * half
            seen.append(practice.step((m.low + m.high) / 2 + noise).features)
        stack = np.concatenate(seen)
        return cls(stack.mean(axis=0), np.maximum(stack.std(axis=0), 1e-3))


class TrackingVectorEnv(VectorEnv):
    """Rows of a `Practice` as environments; observations are normalised features, actions in the task's own unit.

    Args:
        practice: What is stepped.
        rows: Its rows.
        normaliser: Of the features.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, practice: Practice, rows: int, normaliser: Normaliser) -> None:
        self.practice, self.normaliser, self.num_envs = practice, normaliser, rows
        bound = np.full(practice.features.size, FEATURE_BOUND, np.float32)
        self.single_observation_space = spaces.Box(-bound, bound)
        low, high = (np.asarray(x, np.float32) for x in (practice.m.low, practice.m.high))
        self.single_action_space = spaces.Box(low, high)
        self.observation_space = batch_space(self.single_observation_space, rows)
        self.action_space = batch_space(self.single_action_space, rows)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts every row anew; a list of seeds counts by its first."""
        first = seed[0] if isinstance(seed, list) else seed
        return self.normaliser(self.practice.reset(first)), {}

    def step(self, actions: NDArray[np.float32]) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One control step: a lost clip terminates, a clip's last frame truncates."""
        out = self.practice.step(np.asarray(actions, np.float64))
        done = out.failed | out.ended
        infos: dict[str, Any] = {}
        if done.any():
            infos = {"final_obs": self.normaliser(out.final), "_final_obs": done}
        return self.normaliser(out.features), out.reward, out.failed, out.ended, infos
