"""The learned world model in the environments: what the toy shows must hold for the real network too."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import wmenv
from tests.wmenv.tiny import make_model
from wmenv.envs import DreamEnv, DreamVectorEnv, LatentVectorObservation, lint
from wmenv.errors import CheckpointError
from wmenv.world_model import WorldModel

ACTION_DIM = 1


@pytest.fixture(params=["state", "frames"])
def model(request: pytest.FixtureRequest) -> WorldModel:
    """A small world model with random weights, none of them zero, so that noise and actions act."""
    return make_model(request.param, action_low=(-1.0,), action_high=(1.0,))


def roll(model: WorldModel, num_envs: int, first: int, steps: int = 8, **options) -> list[np.ndarray]:
    envs = DreamVectorEnv(model, num_envs, horizon=7, **options)
    out = [envs.reset(seed=first)[0]]
    seeds = np.arange(first, first + num_envs)[:, None] + np.arange(ACTION_DIM)
    for t in range(steps):
        out.extend(envs.step(np.sin(seeds * 1.7 + t))[:4])
    return out


def test_a_row_is_bit_equal_alone_among_64_and_among_1024(model: WorldModel) -> None:
    whole = roll(model, 1024, 30, batch_invariant=True)
    some = roll(model, 64, 100, batch_invariant=True)
    assert all(np.array_equal(a[70:134], b) for a, b in zip(whole, some, strict=True))
    for row in (75, 133):
        alone = roll(model, 1, 30 + row, batch_invariant=True)
        assert all(np.array_equal(a[row : row + 1], b) for a, b in zip(whole, alone, strict=True))


def test_decoded_observations_are_bit_equal_too(model: WorldModel) -> None:
    obs = model.config.modality
    many = roll(model, 40, 3, steps=3, batch_invariant=True, obs=obs)
    alone = roll(model, 1, 20, steps=3, batch_invariant=True, obs=obs)
    assert all(np.array_equal(a[17:18], b) for a, b in zip(many, alone, strict=True))


def test_without_the_invariant_path_the_first_steps_agree_to_rounding(model: WorldModel) -> None:
    many, alone = roll(model, 300, 0, steps=2), roll(model, 1, 123, steps=2)
    assert all(np.allclose(a[123:124], b, atol=1e-4) for a, b in zip(many, alone, strict=True))


def test_the_linter_finds_nothing(model: WorldModel) -> None:
    model.heads.termination[-1].bias.fill_(-100.0)  # so that episodes reach the horizon
    assert lint(model) == []
    assert lint(DreamVectorEnv(model, 4, horizon=9, obs=model.config.modality)) == []


def test_save_load_and_fork_are_exact(model: WorldModel) -> None:
    envs = DreamVectorEnv(model, 6, horizon=7)
    envs.reset(seed=1)
    action = np.full((6, ACTION_DIM), 0.3)
    for _ in range(4):
        envs.step(action)
    snapshot = envs.save_state()
    want = [envs.step(action)[:4] for _ in range(10)]
    envs.load_state(snapshot)
    got = [envs.step(action)[:4] for _ in range(10)]
    assert all(np.array_equal(a, b) for one, two in zip(want, got, strict=True) for a, b in zip(one, two, strict=True))
    envs.load_state(snapshot)
    envs.fork(4, [0, 5])
    for _ in range(10):
        obs = envs.step(action)[0]
        assert np.allclose(obs[[0, 5]], obs[4], atol=1e-4)
    exact = DreamVectorEnv(model, 6, horizon=7, batch_invariant=True)
    exact.load_state(snapshot)
    exact.fork(4, [0, 5])
    for _ in range(10):
        obs = exact.step(action)[0]
        assert np.array_equal(obs[[0, 5]], obs[[4, 4]])


def test_by_the_registered_id_from_a_folder(model: WorldModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    assert wmenv.WorldModel is WorldModel
    for path in (tmp_path / "model", str(tmp_path / "model")):
        env = gym.make("wmenv/Dream-v0", model=path)
        assert isinstance(env.unwrapped, DreamEnv)
    check_env(env.unwrapped)
    envs = gym.make_vec("wmenv/Dream-v0", num_envs=3, model=tmp_path / "model", device="cpu")
    twin = DreamVectorEnv(model, 3)
    assert np.array_equal(envs.reset(seed=2)[0], twin.reset(seed=2)[0])
    with pytest.raises(CheckpointError):
        gym.make("wmenv/Dream-v0", model=tmp_path / "nothing")


def test_the_encoder_gives_the_space_of_the_dream(model: WorldModel) -> None:
    shown = DreamVectorEnv(model, 1, obs=model.config.modality).single_observation_space

    class Real(gym.Env):
        observation_space = shown
        action_space = gym.spaces.Box(-1, 1, (ACTION_DIM,), np.float32)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.t = 0
            return self._look(), {}

        def step(self, action):
            self.t += 1
            return self._look(), 0.0, self.t == 4, False, {}

        def _look(self):
            return self.np_random.uniform(shown.low, shown.high).astype(shown.dtype)

    mode = gym.vector.AutoresetMode.SAME_STEP
    raw = gym.vector.SyncVectorEnv([Real] * 3, autoreset_mode=mode)
    envs = LatentVectorObservation(gym.vector.SyncVectorEnv([Real] * 3, autoreset_mode=mode), model)
    assert envs.observation_space == DreamVectorEnv(model, 3).observation_space
    obs, _ = envs.reset(seed=0)
    seen, _ = raw.reset(seed=0)
    encoder = model.encoder_reset(torch.from_numpy(seen))
    for _ in range(6):
        assert np.array_equal(obs, model.encoder_observation(encoder).numpy())
        obs, _, ended, _, info = envs.step(np.zeros((3, ACTION_DIM), np.float32))
        seen, *_, raw_info = raw.step(np.zeros((3, ACTION_DIM), np.float32))
        if ended.any():
            encoder = model.encoder_step(encoder, torch.from_numpy(np.stack(list(raw_info["final_obs"]))))
            assert np.array_equal(info["final_obs"], model.encoder_observation(encoder).numpy())
            encoder = model.encoder_reset(torch.from_numpy(seen))
        else:
            encoder = model.encoder_step(encoder, torch.from_numpy(seen))
