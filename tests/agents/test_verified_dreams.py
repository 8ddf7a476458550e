"""A verifier in PPO's dreams: the real one over a learned model of the pendulum, and what is recorded of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agents.config import ImagineConfig
from agents.imagine import imagine, make_verifier
from agents.vec_env import DreamVecEnv
from physics import DreamVerifier, make_task
from tests.wmenv.tiny import make_model
from wmenv import DreamVectorEnv, InputError, WorldModel
from wmenv.envs import lint

TASK = "wmenv/InvertedPendulum-v0"


@pytest.fixture(scope="module")
def verifier() -> DreamVerifier:
    return DreamVerifier(TASK)


def test_real_steps_pass_teleports_do_not_and_a_dream_has_the_scores_of_its_own_steps(road, verifier: DreamVerifier):
    model = WorldModel.from_pretrained(road / "model")
    env = make_task(TASK, obs="state")
    states, actions, state = [], [], env.reset(seed=0)[0]
    for t in range(24):
        actions.append([1.5 * np.sin(t)])
        states.append(state)
        state = env.step(np.array(actions[-1], np.float32))[0]
    env.close()
    before, after, action = np.array(states[:-1]), np.array(states[1:]), np.array(actions[:-1])
    assert verifier.score(before, action, after).max() < 0.1
    learned = DreamVectorEnv(model, 8, obs="state", verifier=verifier, truncate_above=None, horizon=50)
    shown, _ = learned.reset(seed=0)
    for t in range(20):
        push = np.full((8, 1), np.cos(t), np.float32)
        obs, *_, info = learned.step(push)
        went = np.where(info["_physics"][:, None], obs, info.get("final_obs", obs))
        assert np.allclose(info["physics"], verifier.score(shown, push, went), rtol=1e-3)
        assert (info["physics"] < 100).all()
        shown = obs
    leaped = verifier.score(before, action, after + [0.8, 0, 0, 0])
    assert (leaped > 10).all()


def test_a_hardly_trained_model_is_caught(road, verifier: DreamVerifier):
    model = WorldModel.from_pretrained(road / "model")
    envs = DreamVecEnv(model, 16, verifier=verifier, truncate_above=0.5, horizon=30)
    envs.seed(1), envs.reset()
    impossible = 0
    for _ in range(30):
        _, reward, done, infos = envs.step(np.ones((16, 1), np.float32))
        cut = np.array(["impossible" in info for info in infos])
        assert (np.array([info["physics"] for info in infos]) > 0.5).tolist() == cut.tolist()
        assert done[cut].all() and (reward[cut] == 0).all()
        assert all(infos[i]["TimeLimit.truncated"] for i in np.flatnonzero(cut))
        impossible += cut.sum()
    assert impossible > 0
    assert lint(DreamVectorEnv(model, 4, horizon=9, verifier=verifier)) == []


def test_imagine_verifies_and_says_what_it_saw(road, tmp_path):
    options = {"horizon": 20, "num_envs": 16, "rollout": 8, "hidden": (8,)}
    policy = imagine(road / "model", 256, tmp_path / "policy", config=ImagineConfig(verify=True), **options)
    assert policy.config.steps == 256
    rows = [json.loads(line) for line in (tmp_path / "policy" / "metrics.jsonl").read_text().splitlines()]
    assert all(row["dream/physics"] > 0 and 0 <= row["dream/impossible"] <= 1 for row in rows)
    imagine(road / "model", 128, tmp_path / "plain", **options)
    assert "dream/physics" not in (tmp_path / "plain" / "metrics.jsonl").read_text()


def test_a_model_of_frames_is_refused():
    with pytest.raises(InputError, match="verify: expected a model that dreams states, got one of frames"):
        make_verifier(make_model("frames"))
