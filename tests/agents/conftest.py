"""A toy task whose best policy is known, as a Gymnasium vector environment and as a world model's encoder.

A point on a line is pushed: x' = x + 0.1 * action with action in [-2, 2], reward 1 - |x'|; x starts at +-1. The best
policy moves towards 0 and stays; doing nothing earns nothing.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv

from wmenv.types import EncoderState

LENGTH = 20


class ToyEnv(gym.Env):
    """One point; truncated after `length` steps, so that lengths can differ between seeds."""

    observation_space = spaces.Box(-10.0, 10.0, (2,), np.float32)
    action_space = spaces.Box(-2.0, 2.0, (1,), np.float32)

    def __init__(self, length: int | None = LENGTH) -> None:
        self.length = length
        self.seeds: list[int | None] = []
        self.closed = False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.x = np.float32(self.np_random.choice([-1.0, 1.0]))
        self.t = 0
        self.limit = self.length or 1 + int(self.np_random.integers(30))
        return self._obs(), {}

    def step(self, action):
        assert self.action_space.contains(np.asarray(action, np.float32)), action
        self.x = np.float32(np.clip(self.x + 0.1 * action[0], -10, 10))
        self.t += 1
        return self._obs(), float(1 - abs(self.x)), False, self.t >= self.limit, {}

    def close(self):
        self.closed = True

    def _obs(self):
        return np.array([self.x, 1.0], np.float32)


class ToyVectorEnv(gym.vector.VectorEnv):
    """The same, batched, SAME_STEP."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    single_observation_space = ToyEnv.observation_space
    single_action_space = ToyEnv.action_space

    def __init__(self, num_envs: int, nan_at: int | None = None) -> None:
        self.num_envs, self.nan_at, self.calls = num_envs, nan_at, 0
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        self.rng = np.random.default_rng(seed)
        self.x = self._starts()
        self.t = np.zeros(self.num_envs, int)
        return self._obs(), {}

    def step(self, actions):
        self.calls += 1
        self.x = np.clip(self.x + 0.1 * actions[:, 0], -10, 10)
        self.t += 1
        reward = 1 - np.abs(self.x)
        if self.nan_at is not None and self.calls >= self.nan_at:
            reward[0] = np.nan
        truncated = self.t >= LENGTH
        infos = {}
        if truncated.any():
            infos = {"final_obs": self._obs(), "_final_obs": truncated.copy()}
            self.x = np.where(truncated, self._starts(), self.x)
            self.t[truncated] = 0
        return self._obs(), reward, np.zeros(self.num_envs, bool), truncated, infos

    def _starts(self):
        return self.rng.choice([-1.0, 1.0], self.num_envs)

    def _obs(self):
        return np.stack([self.x, np.ones(self.num_envs)], 1).astype(np.float32)


class ToyModel:
    """The encoder of a world model whose latent is the state itself (H = 1, N = 1, C = 2)."""

    config = SimpleNamespace(
        task="toy/Point-v0",
        modality="state",
        image_size=None,
        history=1,
        num_tokens=1,
        token_dim=2,
        action_low=(-2.0,),
        action_high=(2.0,),
        max_episode_steps=LENGTH,
    )

    def save_pretrained(self, folder):
        Path(folder).mkdir(parents=True)
        (Path(folder) / "model.safetensors").write_bytes(b"toy weights")
        (Path(folder) / "config.json").write_text(json.dumps({"toy": True}))

    def latents_of(self, other):
        return torch.ones(1, 2), torch.zeros(1, 2)

    def encoder_reset(self, obs):
        return EncoderState(torch.zeros(len(obs), 0), obs.float().view(-1, 1, 1, 2))

    def encoder_step(self, enc, obs):
        assert len(enc.latents) == len(obs)
        return EncoderState(enc.memory, obs.float().view(-1, 1, 1, 2))

    def encoder_observation(self, enc):
        return enc.latents.flatten(1)


class ToySB3(VecEnv):
    """The toy vector environment for SB3, without the project's own adapter."""

    def __init__(self, num_envs: int, **options) -> None:
        self.env = ToyVectorEnv(num_envs, **options)
        self.closed = False
        super().__init__(num_envs, self.env.single_observation_space, self.env.single_action_space)

    def reset(self):
        return self.env.reset(seed=self._seeds[0])[0]

    def step_async(self, actions):
        assert (np.abs(actions) <= 2).all()
        self.actions = actions

    def step_wait(self):
        obs, reward, terminated, truncated, final = self.env.step(self.actions)
        infos = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(truncated):
            infos[i] = {"terminal_observation": final["final_obs"][i], "TimeLimit.truncated": True}
        return obs, reward.astype(np.float32), terminated | truncated, infos

    def close(self):
        self.closed = True

    def get_attr(self, name, indices=None):
        return [getattr(self.env, name)] * self.num_envs

    def set_attr(self, name, value, indices=None):
        raise NotImplementedError

    def env_method(self, name, *args, indices=None, **kwargs):
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * self.num_envs


@pytest.fixture
def toy():
    """The toy's classes: Env, VectorEnv, SB3 and Model."""
    return SimpleNamespace(Env=ToyEnv, VectorEnv=ToyVectorEnv, SB3=ToySB3, Model=ToyModel, length=LENGTH)


@pytest.fixture(scope="session")
def quick():
    """A preset that trains next to nothing, in no time."""
    from wmenv.presets import PRESETS

    return dataclasses.replace(
        PRESETS["tiny"], width=32, depth=1, heads=2, head_width=16, steps=12, vae_steps=4, rows=8, vae_rows=4, starts=32
    )


@pytest.fixture(scope="session")
def road(tmp_path_factory, quick):
    """A folder with data, model and policy of the real pendulum from its state; the model is hardly trained."""
    from agents.imagine import imagine
    from agents.recording.record import record
    from agents.world_training import train_world_model

    folder = tmp_path_factory.mktemp("road")
    task = "wmenv/InvertedPendulum-v0"
    record(task, 300, "random", folder / "data", obs="state", num_envs=4, num_processes=1, progress=False)
    train_world_model(folder / "data", folder / "model", preset=quick, progress=False)
    imagine(folder / "model", 512, folder / "policy", horizon=20, num_envs=16, rollout=8, hidden=(8,))
    return folder
