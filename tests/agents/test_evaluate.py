"""Evaluations count a fixed list of episodes, whole, and do not depend on how many environments run them."""

import numpy as np
import pytest

import physics
from agents.baselines import RandomPolicy, ZeroPolicy, fit_rollout, predefined
from agents.config import REAL_PPO
from agents.episodes import run_episodes, run_first_episodes
from agents.evaluate import Evaluation, evaluate
from agents.loop import loop
from agents.real_env import RealObserver
from wmenv.errors import InputError


class Towards:
    """The toy's best policy; remembers the resets that it was told of, and how many rows it acted on."""

    def __init__(self):
        self.resets, self.rows = [], set()

    def reset(self, mask=None):
        self.resets.append(mask.copy())

    def act(self, obs):
        self.rows.add(len(obs))
        return np.clip(-10 * obs[:, :1], -2, 2)


def _alone(toy, seed, length):
    """One episode of the best policy, by the plainest loop."""
    env = toy.Env(length)
    obs, _ = env.reset(seed=seed)
    total, steps, done = 0.0, 0, False
    while not done:
        obs, reward, _, done, _ = env.step(Towards().act(obs[None])[0])
        total, steps = total + reward, steps + 1
    return total, steps


@pytest.mark.parametrize("num_envs", [1, 3, 8, 20])
@pytest.mark.parametrize("with_model", [True, False])
def test_every_episode_of_the_list_is_counted_whole(toy, num_envs, with_model):
    envs = [toy.Env(None) for _ in range(num_envs)]
    told, actor = [], Towards()
    outcome = run_episodes(
        actor,
        envs,
        RealObserver(toy.Model() if with_model else None, num_envs),
        12,
        100,
        progress=lambda done, total, _: told.append((done, total)),
    )
    expected = [_alone(toy, 100 + i, None) for i in range(12)]
    assert outcome["lengths"] == tuple(steps for _, steps in expected)
    np.testing.assert_allclose(outcome["returns"], [total for total, _ in expected])
    assert sorted(seed for env in envs for seed in env.seeds) == list(range(100, 112)), "each start exactly once"
    assert sum(mask.sum() for mask in actor.resets) == 12, "the actor is told of each beginning"
    assert actor.rows == {min(num_envs, 12)} == {len(mask) for mask in actor.resets}, "and may remember rows"
    assert told == [(i, 12) for i in range(1, 13)]
    assert len(set(outcome["lengths"])) > 3, "the test needs short and long episodes"


def test_first_episodes_of_a_vector_environment(toy):
    env = toy.VectorEnv(6)
    actor = Towards()
    outcome = run_first_episodes(actor, env, 0)
    assert outcome["lengths"] == (toy.length,) * 6 and outcome["terminated"] == (False,) * 6
    np.testing.assert_allclose(outcome["returns"], [_alone(toy, 0, toy.length)[0]] * 6, atol=1e-5)
    assert env.calls == toy.length
    assert len(actor.resets) == 1 and actor.resets[0].all()


def test_an_actor_of_the_users_own_is_evaluated_where_it_can_be_recorded():
    result = evaluate(_Still(), task="wmenv/Reacher-v0", episodes=2, num_envs=1)
    assert result.returns == evaluate("zero", task="wmenv/Reacher-v0", episodes=2).returns


class _Still:
    def reset(self, mask):
        pass

    def act(self, obs):
        return np.zeros((len(obs), 2))


def _evaluation(returns):
    n = len(returns)
    return Evaluation(
        policy="p", task="t", place="real", seed=0, returns=tuple(returns), lengths=(3,) * n, terminated=(True,) * n
    )


def test_the_interval_is_that_of_the_mean():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(40):
        result = _evaluation(generator.normal(5, 2, 50))
        low, high = result.ci95
        assert low < result.mean < high
        assert high - low == pytest.approx(2 * 1.96 * result.sem, rel=0.15)
        covered += low <= 5 <= high
    assert covered >= 34


def test_a_single_episode_has_no_standard_error():
    result = _evaluation([4.0])
    assert result.sem is None and result.ci95 == (4.0, 4.0)
    record = result.to_dict()
    assert record["sem"] is None and record["mean"] == 4.0 and record["episodes"] == 1


def test_predefined_policies_stay_in_bounds():
    low, high = np.array([-3.0, 0.5]), np.array([3.0, 2.0])
    obs = np.zeros((1000, 7))
    zero = predefined("zero", low, high).act(obs)
    assert (zero == [0.0, 0.5]).all()
    random = predefined("random", low, high, seed=1).act(obs)
    assert (random >= low).all() and (random <= high).all()
    np.testing.assert_allclose(random.mean(0), [0, 1.25], atol=0.15)
    np.testing.assert_array_equal(RandomPolicy(low, high, 1).act(obs), random)
    assert isinstance(predefined("zero", low, high), ZeroPolicy)
    with pytest.raises(InputError, match="policy: expected random or zero or a policy folder, got 'best'"):
        predefined("best", low, high)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"episodes": 0, "task": "x"}, "episodes"),
        ({"num_envs": 0, "task": "x"}, "num_envs"),
        ({"task": "x", "model": "y"}, "task"),
        ({}, "task"),
    ],
)
def test_bad_arguments_name_their_field(arguments, field):
    with pytest.raises(InputError, match=f"^{field}: expected"):
        evaluate("random", **arguments)


def test_a_task_whose_episodes_may_never_end_is_refused(tmp_path):
    body = '<body><joint type="slide" axis="1 0 0"/><geom size=".1"/></body>'
    (tmp_path / "slider.xml").write_text(
        f'<mujoco><worldbody>{body}</worldbody><actuator><motor joint="j"/></actuator></mujoco>'.replace(
            'type="slide"', 'name="j" type="slide"'
        )
    )
    physics.register_task("evaluate-test/Endless-v0", source=tmp_path / "slider.xml")
    message = "task: expected one with a limit of steps, got evaluate-test/Endless-v0 without"
    with pytest.raises(InputError, match=message):
        evaluate("zero", task="evaluate-test/Endless-v0", episodes=1)
    with pytest.raises(InputError, match=message):
        loop("evaluate-test/Endless-v0", tmp_path / "loop", obs="state", progress=False)
    assert not (tmp_path / "loop").exists()


@pytest.mark.parametrize("steps", [8, 100, 2048, 3000, 12_000, 500_000])
def test_a_baseline_never_takes_more_steps_than_granted(steps):
    config, taken = fit_rollout(REAL_PPO, steps)
    assert taken % (config.num_envs * config.rollout) == 0 and config.rollout <= REAL_PPO.rollout
    assert 0.9 * steps <= taken <= steps
    assert config.batch_size >= min(32, taken)
