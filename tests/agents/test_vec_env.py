"""SB3 over vector environments: equal to SB3's own DummyVecEnv, truncation bootstraps, and it is fast."""

from __future__ import annotations

import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from agents.vec_env import DreamVecEnv, SB3VecEnv, split_infos
from agents.wrap_real import wrap_real
from tests.wmenv.envs.test_verdict import Jumps
from tests.wmenv.envs.toy import ToyModel
from wmenv.envs import DreamEnv, LatentObservation, LatentVectorObservation
from wmenv.errors import InputError


def same(mine: dict, theirs: dict) -> None:
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        assert np.array_equal(value, theirs[key]), key


@pytest.mark.parametrize("options", [{}, {"verifier": Jumps(), "truncate_above": 3.0}], ids=["plain", "judged"])
def test_equal_to_sb3s_own_loop_over_single_dreams(options: dict) -> None:
    model = ToyModel()
    mine, theirs = DreamVecEnv(model, 4, **options), DummyVecEnv([lambda: DreamEnv(model, **options)] * 4)
    assert mine.observation_space == theirs.observation_space
    assert mine.action_space == theirs.action_space
    mine.seed(5), theirs.seed(5)
    before = mine.reset()
    assert np.array_equal(before, theirs.reset())
    rng, cut = np.random.default_rng(0), 0
    for _ in range(200):
        action = rng.uniform(-1, 1, (4, 2)).astype(np.float32)
        (obs, reward, done, infos), (obs2, reward2, done2, infos2) = mine.step(action), theirs.step(action)
        assert np.array_equal(obs, obs2)
        assert reward.dtype == reward2.dtype == np.float32
        assert np.array_equal(reward, reward2)
        assert done.dtype == bool
        assert np.array_equal(done, done2)
        for i in range(4):
            same(infos[i], infos2[i])
            same(mine.reset_infos[i], theirs.reset_infos[i])
            cut += infos[i]["TimeLimit.truncated"]
            assert ("physics" in infos[i]) == bool(options)
            if infos[i].get("physics", 0) > 3:
                assert infos[i]["TimeLimit.truncated"] and reward[i] == 0, "PPO bootstraps from where it was"
                assert np.array_equal(infos[i]["terminal_observation"], before[i])
        before = obs
    assert cut > 5
    mine.close(), theirs.close()


def test_equal_to_sb3s_own_loop_over_foreign_environments() -> None:
    def make() -> gym.Env:
        return gym.wrappers.RecordEpisodeStatistics(gym.make("Pendulum-v1", max_episode_steps=7))

    mine = SB3VecEnv(SyncVectorEnv([make] * 3, autoreset_mode=AutoresetMode.SAME_STEP))
    theirs = DummyVecEnv([make] * 3)
    mine.seed(1), theirs.seed(1)
    assert np.array_equal(mine.reset(), theirs.reset())
    for _ in range(30):
        action = np.ones((3, 1), np.float32)
        (obs, reward, done, infos), (obs2, reward2, done2, infos2) = mine.step(action), theirs.step(action)
        assert np.array_equal(obs, obs2)
        assert np.array_equal(reward, reward2)
        assert np.array_equal(done, done2)
        for one, other in zip(infos, infos2, strict=True):
            assert one.keys() == other.keys()
            assert one["TimeLimit.truncated"] == other["TimeLimit.truncated"]
            if "terminal_observation" in one:
                assert np.array_equal(one["terminal_observation"], other["terminal_observation"])
                assert one["episode"]["r"] == other["episode"]["r"]


def test_ppo_bootstraps_at_the_horizon_and_only_there() -> None:
    """With gamma = 0.5 and a value of exactly 8, PPO must add 4 to the reward where the horizon cut, nowhere else."""
    env = DreamVecEnv(ToyModel(bound=0.6), 8, horizon=6)
    model = PPO("MlpPolicy", env, n_steps=32, batch_size=256, gamma=0.5, n_epochs=1, device="cpu", seed=0)
    for parameter in model.policy.value_net.parameters():
        parameter.data.fill_(0)
    model.policy.value_net.bias.data.fill_(8)
    seen: list[tuple] = []
    step_wait = env.step_wait

    def spy() -> tuple:
        out = step_wait()
        seen.append((out[1].copy(), [info["TimeLimit.truncated"] for info in out[3]], out[2].copy()))
        return out

    env.step_wait = spy
    _, callback = model._setup_learn(256, None)
    model.collect_rollouts(env, callback, model.rollout_buffer, 32)
    raw, cut, done = (np.stack(x) for x in zip(*seen, strict=True))
    assert cut.sum() > 10
    assert (done & ~cut).sum() > 10
    assert np.allclose(model.rollout_buffer.rewards, raw + 4.0 * cut, atol=1e-5)


def test_sb3_tools_work() -> None:
    env = VecMonitor(DreamVecEnv(ToyModel("frames"), 3, render_mode="rgb_array"))
    model = PPO("MlpPolicy", env, n_steps=16, batch_size=48, n_epochs=1, device="cpu", seed=0)
    model.learn(96)
    assert model.ep_info_buffer
    mean, _ = evaluate_policy(model, env, n_eval_episodes=4)
    assert np.isfinite(mean)
    assert env.render().shape == (8, 8, 3)
    assert env.get_attr("horizon") == [20] * 3
    assert not env.env_is_wrapped(Monitor)[0]
    snapshot = env.env_method("save_state")[0]
    first = env.step(np.zeros((3, 2), np.float32))[0]
    env.env_method("load_state", snapshot)
    assert np.array_equal(env.step(np.zeros((3, 2), np.float32))[0], first)


def test_attributes_reach_inner_environments() -> None:
    def make() -> gym.Env:
        return Monitor(gym.make("Pendulum-v1"))

    env = SB3VecEnv(SyncVectorEnv([make] * 2, autoreset_mode=AutoresetMode.SAME_STEP))
    assert env.get_attr("g") == [10.0, 10.0]
    env.set_attr("mark", 3, indices=[1])
    assert env.get_attr("mark", indices=1) == [3]
    assert env.env_is_wrapped(Monitor) == [True, True]
    assert env.env_method("has_wrapper_attr", "g", indices=0) == [True]
    with pytest.raises(InputError, match="indices: expected all 2"):
        DreamVecEnv(ToyModel(), 2).set_attr("x", 1, indices=[0])


def test_options_and_seeds_are_used_once() -> None:
    env = DreamVecEnv(ToyModel(), 2)
    env.set_options({"start": 4})
    env.reset()
    assert [info["start"] for info in env.reset_infos] == [4, 4]
    env.seed(3)
    first = env.reset()
    env.seed(3)
    assert np.array_equal(env.reset(), first)
    assert not np.array_equal(env.reset(), first)
    env.set_options([{"start": 4}, {"start": 5}])
    with pytest.raises(InputError, match="options: expected the same"):
        env.reset()


def test_other_reset_modes_are_refused() -> None:
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED):
        with pytest.raises(InputError, match="envs: expected autoreset mode SAME_STEP"):
            SB3VecEnv(SyncVectorEnv([lambda: gym.make("Pendulum-v1")], autoreset_mode=mode))
    with pytest.raises(InputError, match="num_envs: expected a positive int, got 0"):
        DreamVecEnv(ToyModel(), 0)


def test_split_infos_follows_the_masks() -> None:
    infos = {"a": np.array([1, 2]), "_a": np.array([False, True]), "b": np.array([3, 4])}
    infos |= {"c": {"d": np.array([5, 6]), "_d": np.array([True, False])}, "_c": np.array([True, False])}
    assert split_infos(infos, 2) == [{"b": 3, "c": {"d": 5}}, {"a": 2, "b": 4}]


class Null(VectorEnv):
    """Costs nothing, so that only the adapter is measured."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.single_observation_space = gym.spaces.Box(-1, 1, (10,))
        self.single_action_space = gym.spaces.Box(-1, 1, (2,))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.t = 0

    def reset(self, *, seed=None, options=None):
        return np.zeros((self.num_envs, 10), np.float32), {}

    def step(self, actions):
        self.t += 1
        ended = (np.arange(self.num_envs) + self.t) % 50 == 0
        obs = np.zeros((self.num_envs, 10), np.float32)
        infos = {"final_obs": obs, "_final_obs": ended, "final_info": {}, "_final_info": ended} if ended.any() else {}
        return obs, np.zeros(self.num_envs), np.zeros(self.num_envs, bool), ended, infos


def test_the_adapter_is_fast() -> None:
    env = SB3VecEnv(Null(64))
    env.reset()
    action, best = np.zeros((64, 2), np.float32), 0.0
    for _ in range(5):  # the best of five, since other work may share the machine
        start = time.perf_counter()
        for _ in range(50):
            env.step(action)
        best = max(best, 50 * 64 / (time.perf_counter() - start))
    assert best > 15_000


class Task(gym.Env):
    observation_space = gym.spaces.Box(-10, 10, (6,), np.float32)
    action_space = gym.spaces.Box(np.float32([-1, -2]), np.float32([1, 2]))
    task_id = "wmenv/Toy-v0"

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.normal(size=6).astype(np.float32), {}

    def step(self, action):
        return self.np_random.normal(size=6).astype(np.float32), 0.0, False, False, {}


def test_wrap_real_gives_the_spaces_of_the_dream() -> None:
    model = ToyModel()
    dream = DreamVecEnv(model, 2)
    one = wrap_real(Task(), model)
    many = wrap_real(SyncVectorEnv([Task] * 2, autoreset_mode=AutoresetMode.SAME_STEP), model)
    assert isinstance(one, LatentObservation)
    assert isinstance(many, LatentVectorObservation)
    adapted = SB3VecEnv(many)
    for env in (one, adapted):
        assert env.observation_space == dream.observation_space
        assert env.action_space == dream.action_space
    policy = PPO("MlpPolicy", dream, n_steps=8, batch_size=16, device="cpu")
    action, _ = policy.predict(adapted.reset())
    adapted.step(action)
    other = Task()
    other.task_id = "wmenv/Other-v0"
    with pytest.raises(InputError, match="env: expected the task wmenv/Toy-v0 of the model, got wmenv/Other-v0"):
        wrap_real(other, model)
