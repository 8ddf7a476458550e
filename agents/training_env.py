"""What lies between an environment and PPO: actions scaled to [-1, 1], and no NaN gets through to the optimiser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from wmenv import InputError, TrainingError

from .policy import PolicyConfig


class GuardedVecEnv(VecEnvWrapper):
    """Takes actions in [-1, 1] and passes them on in the task's own unit; stops at the first number that is not finite.

    One NaN reward would make every later advantage and then every weight NaN, and be reported much later as a broken
    distribution.
    """

    def __init__(self, venv: VecEnv, policy: PolicyConfig, env_threads: int | None = None) -> None:
        """Wraps `venv`.

        Args:
            venv: Observations (O,) and actions (A,) as the policy's.
            policy: The policy that will act.
            env_threads: Torch threads while the environments step; None for those of the caller.

        Raises:
            InputError: The spaces are not those of the policy.
        """
        shape, actions = venv.observation_space.shape, venv.action_space.shape
        if shape != (policy.observation_dim,):
            raise InputError(
                f"observation: expected shape ({policy.observation_dim},) as the policy reads, got {shape}; "
                "a policy fits the world model it was trained with, or one of the same sizes"
            )
        if actions != (policy.action_dim,):
            raise InputError(f"action: expected shape ({policy.action_dim},) as the policy acts, got {actions}")
        super().__init__(venv, action_space=policy.network_action_space)
        low, high = np.asarray(policy.action_low, np.float32), np.asarray(policy.action_high, np.float32)
        self._centre, self._half = (low + high) / 2, (high - low) / 2
        self._steps = 0
        self._env_threads = env_threads

    def reset(self) -> Any:
        """Resets every environment and returns (B, O) observations."""
        with torch_threads(self._env_threads):
            obs = self.venv.reset()
        self._check("observation", obs)
        return obs

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Sends actions (B, A) in [-1, 1] on in the task's own unit."""
        self._check("action", actions)
        with torch_threads(self._env_threads):
            self.venv.step_async(self._centre + self._half * np.clip(actions, -1.0, 1.0))

    def step_wait(self) -> Any:
        """Returns observations, rewards, dones and infos.

        Raises:
            TrainingError: A reward or an observation is not finite.
        """
        with torch_threads(self._env_threads):
            obs, rewards, dones, infos = self.venv.step_wait()
        self._steps += 1
        self._check("reward", rewards)
        self._check("observation", obs)
        return obs, rewards, dones, infos

    def _check(self, name: str, values: Any) -> None:
        finite = np.isfinite(values)
        if not finite.all():
            where = int(np.argwhere(~finite)[0][0])
            raise TrainingError(
                f"{name}: expected finite numbers, got {values[where]} in environment {where} at its step "
                f"{self._steps}; the last good update is kept"
            )


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Runs the block with `count` torch threads, None for as many as now.

    PPO's networks are so small that threads only wait for each other: on 2 busy cores one thread did 38,000 steps/s
    where two did 1,500.
    """
    before = torch.get_num_threads()
    if count in (None, before):
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
