"""A real task through the encoder: every episode is encoded from its own start to its own end, in every reset mode."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tests.wmenv.envs.toy import ToyModel, paint
from wmenv.envs import DreamVectorEnv, LatentObservation, LatentVectorObservation
from wmenv.errors import InputError


class Real(gym.Env):
    """A made-up real task: a random walk pushed by the action, ended by a bound, with its state or a picture of it."""

    def __init__(self, modality: str = "state") -> None:
        c = ToyModel(modality).config
        self.modality, self.size = modality, c.image_size
        if modality == "frames":
            self.observation_space = gym.spaces.Box(0, 255, (c.image_size, c.image_size, 3), np.uint8)
        else:
            self.observation_space = gym.spaces.Box(-10, 10, (c.state_dim,), np.float32)
        self.action_space = gym.spaces.Box(np.float32(c.action_low), np.float32(c.action_high))

    def _show(self) -> np.ndarray:
        if self.modality == "frames":
            return paint(torch.from_numpy(self.x)[None], self.size)[0].numpy()
        return self.x.copy()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.x = self.np_random.normal(0, 0.3, 6).astype(np.float32)
        return self._show(), {"time": 0.0}

    def step(self, action):
        self.x = (0.9 * self.x + 0.3 * action.sum() + self.np_random.normal(0, 0.2, 6)).astype(np.float32)
        return self._show(), float(self.x[0]), bool(abs(self.x[0]) > 1), False, {"time": 1.0}


def make(modality: str) -> gym.Env:
    return gym.wrappers.TimeLimit(Real(modality), 12)


class ByHand:
    """The encoder of one environment, by hand."""

    def __init__(self, model: ToyModel) -> None:
        self.model = model

    def see(self, obs: np.ndarray, first: bool) -> np.ndarray:
        row = torch.from_numpy(obs)[None]
        self.state = self.model.encoder_reset(row) if first else self.model.encoder_step(self.state, row)
        return self.model.encoder_observation(self.state)[0].numpy()


@pytest.mark.parametrize("modality", ["state", "frames"])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_vector_rows_equal_encoders_by_hand(modality: str, mode: AutoresetMode) -> None:
    model, n = ToyModel(modality), 4
    raw = SyncVectorEnv([lambda: make(modality)] * n, autoreset_mode=mode)
    envs = LatentVectorObservation(SyncVectorEnv([lambda: make(modality)] * n, autoreset_mode=mode), model)
    assert envs.single_observation_space == DreamVectorEnv(model, 1).single_observation_space
    assert envs.action_space == DreamVectorEnv(model, n).action_space
    by_hand = [ByHand(model) for _ in range(n)]
    obs, _ = envs.reset(seed=5)
    plain, _ = raw.reset(seed=5)
    rng, begins, ends = np.random.default_rng(0), np.ones(n, bool), 0
    for i in range(n):
        assert np.array_equal(obs[i], by_hand[i].see(plain[i], True))
    begins[:] = False
    for _ in range(150):
        action = rng.uniform(-1, 1, (n, 2)).astype(np.float32)
        obs, reward, terminated, truncated, info = envs.step(action)
        plain, plain_reward, *_, plain_info = raw.step(action)
        assert np.array_equal(reward, plain_reward)
        assert np.array_equal(info["real_obs"], plain)
        ended = terminated | truncated
        ends += ended.sum()
        for i in range(n):
            if ended[i] and mode is AutoresetMode.SAME_STEP:
                assert np.array_equal(info["final_obs"][i], by_hand[i].see(plain_info["final_obs"][i], False))
                assert info["_final_obs"][i]
                assert info["final_info"]["time"][i] == 1.0
                assert np.array_equal(obs[i], by_hand[i].see(plain[i], True))
            else:
                assert np.array_equal(obs[i], by_hand[i].see(plain[i], begins[i]))
        begins = ended if mode is AutoresetMode.NEXT_STEP else np.zeros(n, bool)
        if mode is AutoresetMode.DISABLED and ended.any():
            obs, _ = envs.reset(options={"reset_mask": ended.copy()})
            plain, _ = raw.reset(options={"reset_mask": ended.copy()})
            for i in np.flatnonzero(ended):
                assert np.array_equal(obs[i], by_hand[i].see(plain[i], True))
    assert ends > 20
    envs.close()


@pytest.mark.parametrize("modality", ["state", "frames"])
def test_single_equals_the_encoder_by_hand(modality: str) -> None:
    model = ToyModel(modality)
    env, raw, by_hand = LatentObservation(make(modality), model), make(modality), ByHand(model)
    rng, first = np.random.default_rng(0), True
    for t in range(60):
        if first:
            obs, info = env.reset(seed=t)
            plain, _ = raw.reset(seed=t)
        else:
            action = rng.uniform(-1, 1, 2).astype(np.float32)
            obs, _, terminated, truncated, info = env.step(action)
            plain, *_ = raw.step(action)
        assert obs in env.observation_space
        assert np.array_equal(obs, by_hand.see(plain, first))
        assert np.array_equal(info["real_obs"], plain)
        first = not first and (terminated or truncated)


def test_another_task_is_refused() -> None:
    model = ToyModel()
    with pytest.raises(InputError, match=r"env: expected state observations, float \(6,\), got Box\(0, 255"):
        LatentObservation(Real("frames"), model)
    with pytest.raises(InputError, match="make the task with obs='frames' and size=4"):
        LatentObservation(Real("state"), ToyModel("frames"))
    with pytest.raises(InputError, match="env: expected actions"):
        LatentObservation(gym.wrappers.RescaleAction(Real(), np.float32(-1), np.float32(1)), model)
    envs = SyncVectorEnv([Real])
    del envs.metadata["autoreset_mode"]
    with pytest.raises(InputError, match="autoreset_mode"):
        LatentVectorObservation(envs, model)
