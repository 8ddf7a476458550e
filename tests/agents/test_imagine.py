"""PPO improves a policy in the environment it is given, repeats itself, and keeps the last update when it fails."""

import json

import numpy as np
import pytest
import torch

from agents.config import ImagineConfig, PPOConfig, with_options
from agents.imagine import imagine, start_policy, train_policy
from agents.policy import Policy
from wmenv.errors import InputError, TrainingError

FAST = PPOConfig(num_envs=32, rollout=16, minibatches=4, epochs=6, learning_rate=3e-3, hidden=(16,))


def _train(toy, out, steps=12_000, seed=0, config=FAST, init=None, **env):
    policy = start_policy(toy.Model(), config, seed=seed, init=init, trained_on="dream")
    return train_policy(policy, toy.SB3(config.num_envs, **env), steps, out, config, seed=seed)


def test_ppo_finds_the_best_policy_of_the_toy(toy, tmp_path):
    policy = _train(toy, tmp_path / "p")
    actions = policy.act(np.array([[1.0, 1.0], [-1.0, 1.0]], np.float32))
    assert actions[0, 0] < -1 and actions[1, 0] > 1
    rows = [json.loads(line) for line in (tmp_path / "p" / "metrics.jsonl").read_text().splitlines()]
    returns = [row["rollout/ep_rew_mean"] for row in rows if "rollout/ep_rew_mean" in row]
    assert returns[0] < 8 < 13 < returns[-1], "raw returns are recorded, in the task's unit"
    assert rows[-1]["steps"] == policy.config.steps == 12_288
    assert rows[0]["seed"] == 0 and rows[0]["time"] > 1e9


def test_the_same_seed_gives_the_same_policy(toy, tmp_path):
    weights = [_train(toy, tmp_path / n, steps=1024, seed=s).network.state_dict() for n, s in [("a", 1), ("b", 1)]]
    other = _train(toy, tmp_path / "c", steps=1024, seed=2).network.state_dict()
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    assert not torch.equal(weights[0]["action_net.weight"], other["action_net.weight"])


def test_the_callers_random_streams_are_left_alone(toy, tmp_path):
    torch.manual_seed(5)
    np.random.seed(5)
    _train(toy, tmp_path / "p", steps=512)
    drawn = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    assert torch.equal(drawn[0], torch.rand(3)) and np.array_equal(drawn[1], np.random.rand(3))


def test_a_nan_reward_stops_by_name_and_keeps_the_last_update(toy, tmp_path):
    with pytest.raises(TrainingError, match="reward: expected finite numbers, got nan in environment 0"):
        _train(toy, tmp_path / "p", nan_at=16 * 4 + 3)
    policy = Policy.load(tmp_path / "p")
    fresh = start_policy(toy.Model(), FAST, seed=0, init=None, trained_on="dream")
    assert all(torch.isfinite(tensor).all() for tensor in policy.network.state_dict().values())
    weight = "action_net.weight"
    assert not torch.equal(policy.network.state_dict()[weight], fresh.network.state_dict()[weight])
    assert 16 * 4 * 32 <= policy.config.steps < 16 * 5 * 32


def test_an_interrupt_saves_the_last_update(toy, tmp_path):
    class Interrupted(toy.SB3):
        def step_wait(self):
            if self.env.calls == 70:
                raise KeyboardInterrupt
            return super().step_wait()

    policy = start_policy(toy.Model(), FAST, seed=0, init=None, trained_on="dream")
    env = Interrupted(FAST.num_envs)
    with pytest.raises(KeyboardInterrupt):
        train_policy(policy, env, 10_000, tmp_path / "p", FAST)
    assert env.closed
    assert Policy.load(tmp_path / "p").config.steps == 70 * 32


def test_a_warm_start_goes_on_from_the_stored_policy(toy, tmp_path):
    first = _train(toy, tmp_path / "a")
    second = start_policy(toy.Model(), with_options(FAST, {"hidden": (99,)}), seed=4, init=first, trained_on="dream")
    obs = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    np.testing.assert_array_equal(first.act(obs), second.act(obs))
    third = _train(toy, tmp_path / "b", steps=512, init=first)
    assert third.config.steps == first.config.steps + 512
    assert json.loads((tmp_path / "b" / "metrics.jsonl").read_text().splitlines()[-1])["steps"] == third.config.steps


def test_a_warm_start_keeps_the_unit_that_its_critic_foretells_in(toy, tmp_path):
    """Measured anew, the first rewards are divided by the deviation of one step's, ten times too small."""
    first = _train(toy, tmp_path / "a")
    mean, variance, count = first.config.returns
    assert 4 < mean < 8 and 10 < variance < 40 and count == pytest.approx(first.config.steps, abs=1)
    second = _train(toy, tmp_path / "b", steps=2048, init=first)
    assert second.config.returns[2] == pytest.approx(count + 2048)
    rows = [json.loads(line) for line in (tmp_path / "b" / "metrics.jsonl").read_text().splitlines()]
    lost = [row["train/value_loss"] for row in rows if "train/value_loss" in row]
    assert lost[0] < 3 * lost[-1], "with another unit it was 20 and then 0.04"


@pytest.mark.parametrize("hidden", [(), (8, 8)])
def test_a_policy_acts_on_new_latents_as_it_did_on_the_old(toy, hidden):
    """The next round's model measures states in other units; the policy must not notice."""
    old = start_policy(toy.Model(), with_options(FAST, {"hidden": hidden}), seed=3, init=None, trained_on="dream")
    gain, shift = torch.tensor([[2.0, 0.5]]), torch.tensor([[-1.0, 3.0]])

    class Rescaled(toy.Model):
        def latents_of(self, other):
            return gain, shift

    new = start_policy(Rescaled(), FAST, seed=4, init=old, trained_on="dream")
    z = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    before = (gain * z + shift).float()
    np.testing.assert_allclose(new.act(z), old.act(before), atol=1e-6)
    torch.testing.assert_close(new.network.predict_values(z), old.network.predict_values(before))
    assert not np.allclose(new.act(z), old.act(z), atol=1e-3)


def test_a_policy_of_other_sizes_is_refused(toy, tmp_path):
    _train(toy, tmp_path / "a", steps=512)

    class Wider(toy.Model):
        config = type(toy.Model.config)(**{**vars(toy.Model.config), "history": 4})

    with pytest.raises(InputError, match="init: expected a policy with observation_dim 8"):
        start_policy(Wider(), FAST, seed=0, init=tmp_path / "a", trained_on="dream")
    policy = start_policy(Wider(), FAST, seed=0, init=None, trained_on="dream")
    with pytest.raises(InputError, match="observation: expected shape"):
        train_policy(policy, toy.SB3(32), 512, tmp_path / "b", FAST)


@pytest.mark.parametrize("steps", [0, -5, 1.5, True, None])
def test_a_wrong_number_of_steps_is_refused(toy, tmp_path, steps):
    with pytest.raises(InputError, match="steps: expected an integer >= 1"):
        _train(toy, tmp_path / "p", steps=steps)


def test_bad_arguments_leave_an_older_policy_as_it_was(toy, tmp_path):
    start_policy(toy.Model(), FAST, seed=3, init=None, trained_on="dream").save(tmp_path / "p", steps=7)
    with pytest.raises(InputError, match="steps: expected"):
        _train(toy, tmp_path / "p", steps=0)
    assert Policy.load(tmp_path / "p").config.steps == 7


@pytest.mark.parametrize(
    "change",
    [
        {"num_envs": 0},
        {"rollout": -1},
        {"gamma": 1.5},
        {"learning_rate": float("nan")},
        {"reward_clip": 0.0},
        {"horizon": 0},
        {"starts": "end"},
    ],
)
def test_a_bad_hyper_parameter_names_itself(change):
    with pytest.raises(InputError, match=f"{next(iter(change))}: expected"):
        with_options(ImagineConfig(), change)


def test_an_unknown_option_is_refused(toy, tmp_path):
    with pytest.raises(InputError, match="lr: expected one of num_envs"):
        imagine(toy.Model(), 10, tmp_path / "p", lr=1.0)


@pytest.mark.parametrize(("envs", "rollout", "parts"), [(128, 32, 4), (7, 13, 3), (1, 2, 4), (3, 1, 1), (8, 37, 32)])
def test_minibatches_divide_the_rollout(envs, rollout, parts):
    config = PPOConfig(num_envs=envs, rollout=rollout, minibatches=parts)
    assert envs * rollout % config.batch_size == 0
    assert 2 <= config.batch_size <= envs * rollout and envs * rollout / config.batch_size <= parts
