"""DreamEnv is a well-behaved Gymnasium Env: both checkers, gym.make, and the order of calls."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from tests.wmenv.envs.toy import ToyModel
from wmenv.envs import DreamClosed, DreamEnv, DreamNotReset, DreamVectorEnv
from wmenv.errors import InputError

UNIT = {"action_low": (-1.0, -1.0), "action_high": (1.0, 1.0)}
"""Both checkers recommend actions within [-1, 1]; the tasks' own boxes differ, which is their affair."""


@pytest.fixture
def toy_id() -> Iterator[str]:
    """An id registered as wmenv/Dream-v0 is."""
    gym.register("toy/Dream-v0", entry_point="wmenv.envs:DreamEnv", vector_entry_point="wmenv.envs:DreamVectorEnv")
    yield "toy/Dream-v0"
    del gym.registry["toy/Dream-v0"]


@pytest.mark.parametrize(("modality", "obs"), [("state", "latent"), ("state", "state"), ("frames", "latent")])
def test_both_checkers_pass(toy_id: str, modality: str, obs: str) -> None:
    env = gym.make(toy_id, model=ToyModel(modality, **UNIT), obs=obs)
    check_env(env.unwrapped)
    sb3_check_env(env.unwrapped)


def test_both_checkers_pass_with_frames(toy_id: str) -> None:
    model = ToyModel("frames", **UNIT)
    model.config = type(model.config)(modality="frames", image_size=36, **UNIT)  # SB3 wants 36 pixels for its CNN
    env = gym.make(toy_id, model=model, obs="frames", render_mode="rgb_array")
    check_env(env.unwrapped)
    sb3_check_env(env.unwrapped)
    assert env.metadata["render_modes"] == ["rgb_array"]


def test_make_and_make_vec(toy_id: str) -> None:
    model = ToyModel()
    env = gym.make(toy_id, model=model)
    envs = gym.make_vec(toy_id, num_envs=3, model=model, horizon=5)
    assert isinstance(env.unwrapped, DreamEnv)
    assert isinstance(envs, DreamVectorEnv)
    assert envs.horizon == 5
    assert env.unwrapped.horizon == 20
    assert gym.make_vec(toy_id, num_envs=3, model=model, max_episode_steps=6).horizon == 6
    assert env.metadata["render_modes"] == []
    sync = gym.make_vec(toy_id, num_envs=3, vectorization_mode="sync", model=model, horizon=5)
    obs, _ = envs.reset(seed=4)
    assert np.array_equal(obs, sync.reset(seed=4)[0])
    assert np.array_equal(obs[0], env.reset(seed=4)[0])
    wrapped = gym.wrappers.vector.RecordEpisodeStatistics(gym.make_vec(toy_id, num_envs=3, model=model, horizon=5))
    wrapped.reset(seed=0)
    infos = [wrapped.step(np.zeros((3, 2)))[4] for _ in range(5)]
    assert any("episode" in info for info in infos)


def test_wrappers_of_gymnasium_work_on_vector_dreams() -> None:
    # Gymnasium's observation wrappers take NEXT_STEP and DISABLED alone.
    options = {"obs": "frames", "autoreset_mode": "Disabled"}
    envs = DreamVectorEnv(ToyModel("frames", bound=1e9), 2, **options)
    wrapped = gym.wrappers.vector.RescaleAction(
        gym.wrappers.vector.FlattenObservation(envs), np.float32(-1), np.float32(1)
    )
    twin = DreamVectorEnv(ToyModel("frames", bound=1e9), 2, **options)
    flat, _ = wrapped.reset(seed=0)
    plain, _ = twin.reset(seed=0)
    assert np.array_equal(flat, plain.reshape(2, -1))
    for _ in range(4):
        flat, *_ = wrapped.step(np.ones((2, 2), np.float32))
        plain, *_ = twin.step(np.tile(twin.single_action_space.high, (2, 1)))
        assert np.array_equal(flat, plain.reshape(2, -1))


def test_order_of_calls() -> None:
    env = DreamEnv(ToyModel(bound=1e9), horizon=2)
    with pytest.raises(DreamNotReset, match="expected reset"):
        env.step(np.zeros(2))
    env.reset(seed=0)
    env.step(np.zeros(2))
    *_, truncated, _ = env.step(np.zeros(2))
    assert truncated is True
    with pytest.raises(gym.error.ResetNeeded, match="ended"):
        env.step(np.zeros(2))
    env.reset()
    env.step(np.zeros(2))
    env.close()
    env.close()
    for call in (env.reset, lambda: env.step(np.zeros(2))):
        with pytest.raises(DreamClosed):
            call()


def test_bad_arguments() -> None:
    env = DreamEnv(ToyModel())
    env.reset(seed=0)
    for action, text in (
        (np.zeros(3), r"expected shape \(2,\), got \(3,\)"),
        ([0, np.nan], "got nan"),
        ("no", "dtype"),
    ):
        with pytest.raises(InputError, match=text):
            env.step(action)
    with pytest.raises(InputError, match="options: expected"):
        env.reset(options={"begin": 1})
    with pytest.raises(InputError, match="obs: expected"):
        DreamEnv(ToyModel(), obs="frames")


@pytest.mark.parametrize("seed", [-1, 1.5, "a", 2**63, True])
def test_a_bad_seed_seeds_nothing(seed: object) -> None:
    env, twin = DreamEnv(ToyModel()), DreamEnv(ToyModel())
    env.reset(seed=5), twin.reset(seed=5)
    with pytest.raises(InputError, match="seed: expected"):
        env.reset(seed=seed)
    with pytest.raises(InputError, match="options: expected"):
        env.reset(seed=7, options={"begin": 1})
    assert env.np_random.integers(2**62) == twin.np_random.integers(2**62)
    assert np.array_equal(env.reset()[0], twin.reset()[0])


def test_start_option_and_render() -> None:
    model = ToyModel("frames")
    env = DreamEnv(model, render_mode="rgb_array")
    obs, info = env.reset(options={"start": 5})
    assert info == {"start": 5}
    assert np.array_equal(obs, model.starts[5].flatten().numpy())
    assert env.render().shape == (4, 4, 3)
    assert DreamEnv(model).render() is None
