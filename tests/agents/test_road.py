"""The whole road on a real task with a world model that was hardly trained: every joint holds, whatever the returns."""

import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from agents import cli
from agents.comparison import dream_along, film_policy, measure_speed, stand
from agents.evaluate import evaluate
from agents.imagine import imagine
from agents.loop import loop
from agents.policy import Policy
from agents.rows import read_rows
from wmenv.data import EpisodeStore
from wmenv.errors import InputError
from wmenv.world_model import WorldModel

TASK = "wmenv/InvertedPendulum-v0"
PPO = {"num_envs": 16, "rollout": 8, "hidden": (8,)}


def _run(capsys, *arguments):
    code = cli.main(list(map(str, arguments)))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_policy_folder_is_enough_for_the_real_task(road, tmp_path):
    policy = Policy.load(road / "policy")
    assert policy.config.task == TASK and policy.config.steps == 512
    result = evaluate(road / "policy", episodes=6, num_envs=4)
    assert result.task == TASK and result.place == "real" and result.episodes == 6
    assert all(1 <= length <= 1000 for length in result.lengths)
    assert all(result.terminated[i] or result.lengths[i] == 1000 for i in range(6))
    np.testing.assert_allclose(result.returns, result.lengths, rtol=0.2)  # the pendulum pays 1 a step while it stands


def test_real_returns_do_not_depend_on_how_many_run_together(road):
    results = [evaluate(road / "policy", episodes=5, num_envs=n) for n in (1, 3)]
    np.testing.assert_allclose(results[0].returns, results[1].returns, rtol=1e-4)
    assert results[0].lengths == results[1].lengths


def test_zero_and_random_need_no_model():
    zero, random = (evaluate(name, task=TASK, episodes=8) for name in ("zero", "random"))
    assert 15 < zero.mean < 40 and 3 < random.mean < 15


def test_another_world_is_another_task():
    nominal, strong = (evaluate("random", task=TASK, episodes=8, world=w) for w in (None, {"gear": 3.0}))
    assert strong.mean < nominal.mean


def test_in_the_dream_every_member_counts_its_first_episode(road):
    result = evaluate(road / "policy", model=road / "model", episodes=7, horizon=15)
    assert result.place == "dream" and result.episodes == 7 and max(result.lengths) <= 15
    again = evaluate(road / "policy", model=road / "model", episodes=7, horizon=15)
    assert again == result
    assert evaluate("random", model=road / "model", episodes=3, horizon=5).episodes == 3


def test_a_policy_reads_the_latents_of_another_model_of_its_states(road):
    policy, other = Policy.load(road / "policy"), WorldModel.from_pretrained(road / "model")
    other.tokenizer.scale.mul_(2.0)
    other.tokenizer.mean.add_(0.5)
    states = EpisodeStore.open(road / "data").episode(0).state[:4]

    def latents(model):
        return model.encoder_observation(model.encoder_reset(torch.tensor(states)))

    translated = policy.reading(other)
    np.testing.assert_allclose(translated.act(latents(other)), policy.act(latents(policy.model)), atol=1e-5)
    assert not np.allclose(policy.act(latents(other)), policy.act(latents(policy.model)), atol=1e-3)
    assert policy.reading(policy.model) is policy
    assert evaluate(policy, model=other, episodes=2, horizon=3).episodes == 2


def test_a_dream_that_begins_in_a_recorded_moment_stands_where_the_encoder_stands(road):
    model = WorldModel.from_pretrained(road / "model")
    episode = max(EpisodeStore.open(road / "data"), key=lambda e: len(e.action))
    for begin in (0, 1, len(episode.action) - 1):
        encoder = model.encoder_reset(torch.tensor(episode.state[:1]))
        for t in range(1, begin + 1):
            encoder = model.encoder_step(encoder, torch.tensor(episode.state[t : t + 1]))
        state = stand(model, episode, begin)
        torch.testing.assert_close(model.latent_observation(state), model.encoder_observation(encoder))


@pytest.mark.parametrize(("ends", "steps"), [(-9.0, 4), (9.0, 1)])
def test_a_dream_along_an_episode_ends_where_the_model_says(road, ends, steps):
    model = WorldModel.from_pretrained(road / "model")
    model.heads.termination[-1].bias.data.fill_(ends)
    model.heads.termination[-1].weight.data.zero_()
    episode = max(EpisodeStore.open(road / "data"), key=lambda e: len(e.action))
    dreamed = dream_along(model, episode, steps=4)
    assert dreamed.shape == (steps + 1, 4)
    np.testing.assert_allclose(dreamed[0], episode.state[0], atol=1e-3)


def test_films_and_speed(road):
    policy = Policy.load(road / "policy")
    film = film_policy(policy, TASK, steps=30)
    assert film.frames.shape == (len(film.action) + 1, 64, 64, 3)
    speed = measure_speed(TASK, policy.model, num_dreams=8, seconds=0.1)
    assert speed["ratio"] == pytest.approx(speed["dream_fps"] / speed["real_camera_fps"])


def test_the_loop_goes_on_where_it_was(tmp_path, quick):
    arguments = {"record_steps": 120, "imagine_steps": 128, "obs": "state", "preset": quick, "episodes": 2}
    arguments |= {"progress": False, "config": cli.ImagineConfig(horizon=10, **PPO)}
    first = loop(TASK, tmp_path, rounds=1, **arguments)
    second = loop(TASK, tmp_path, rounds=2, **arguments)
    assert [r.number for r in first + second] == [0, 1]
    assert 120 <= first[0].real_steps < 140, "there is nobody yet to choose between"
    assert 360 <= second[0].real_steps < 380, "the last recording only chooses"
    assert second[0].policy_steps == 2 * first[0].policy_steps == 256, "the policy goes on, warm"
    assert loop(TASK, tmp_path, rounds=2, **arguments) == []
    rows = [json.loads(line) for line in (tmp_path / "loop.jsonl").read_text().splitlines()]
    assert [row["round"] for row in rows] == [0, 1] and rows[1]["return_mean"] == second[0].evaluation.mean
    assert WorldModel.from_pretrained(tmp_path / "round-01" / "model").config.task == TASK


def test_a_policy_that_nobody_beats_stays_and_is_not_evaluated_again(tmp_path, quick, monkeypatch):
    def favours_before(recorded, limit):
        return {name: float(name == "before") for name in recorded}

    monkeypatch.setattr(importlib.import_module("agents.candidates"), "foretold_returns", favours_before)
    arguments = {"record_steps": 120, "imagine_steps": 128, "obs": "state", "preset": quick, "episodes": 2}
    arguments |= {"progress": False, "config": cli.ImagineConfig(horizon=10, **PPO)}
    first, second = loop(TASK, tmp_path, rounds=2, **arguments)
    assert second.evaluation is first.evaluation
    assert read_rows(tmp_path / "loop.jsonl")[1]["return_mean"] == first.evaluation.mean
    weights = [Policy.load(done.policy).network.state_dict() for done in (first, second)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert second.policy_steps == 2 * first.policy_steps, "what was dreamed in vain counts"


def test_of_several_policies_the_one_that_reality_prefers_goes_on(tmp_path, quick, monkeypatch):
    arguments = {"record_steps": 120, "imagine_steps": 128, "policies": 3, "obs": "state", "preset": quick}
    arguments |= {"episodes": 2, "progress": False, "config": cli.ImagineConfig(horizon=10, **PPO)}
    asked = []

    def dream_until_killed(model, steps, out, **options):
        if len(asked) == 2:
            asked.append(None)
            raise KeyboardInterrupt
        asked.append((out.name, options["seed"]))
        return imagine(model, steps, out, **options)

    monkeypatch.setattr(importlib.import_module("agents.loop"), "imagine", dream_until_killed)
    with pytest.raises(KeyboardInterrupt):
        loop(TASK, tmp_path, rounds=2, **arguments)
    done = loop(TASK, tmp_path, rounds=2, **arguments)
    told = [name for name, _ in filter(None, asked)]
    assert told == 2 * ["policy-0", "policy-1", "policy-2"], "what was dreamed before the kill is not dreamed again"
    assert len({seed for _, seed in filter(None, asked)}) == 6
    assert [r.real_steps for r in done] == pytest.approx([240, 360], abs=20), "the last one's recording only chooses"
    assert [r.policy_steps for r in done] == [3 * 128, 6 * 128], "all that was dreamed counts"
    episodes = list(EpisodeStore.open(tmp_path / "data"))

    def worth(*parts):
        own = [e for begin, end in parts for e in episodes[begin:end]]
        return sum(len(e.action) for e in own) / (1 + sum(e.terminated for e in own))

    earlier = []
    for r in done:
        here = r.policy.parent
        *rows, end = read_rows(here / "candidates.jsonl")
        parts = list(itertools.pairwise([row["first_episode"] for row in (*rows, end)]))
        names = [row["policy"] for row in rows]
        assert names[:3] == ["policy-0", "policy-1", "policy-2"] and all(a < b for a, b in parts)
        best = sorted(range(3), key=lambda k: -worth(parts[k]))
        finalists = ["before", names[best[0]]] if r.number else [names[best[0]], names[best[1]]]
        assert names[3:] == finalists, "from the second round on the one before is in the final"
        whole = {name: [part for n, part in zip(names, parts, strict=True) if n == name] for name in finalists}
        if r.number:
            whole["before"] = earlier + whole["before"]
        kept = max(finalists, key=lambda name: worth(*whole[name]))
        assert end["kept"] == kept and [tuple(part) for part in end["episodes"]] == whole[kept]
        folder = tmp_path / "round-00" / "policy" if kept == "before" else here / kept
        weights = [Policy.load(path).network.state_dict() for path in (folder, r.policy)]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
        earlier = whole[kept]


def test_policies_that_share_a_recording_need_enough_of_it(tmp_path):
    with pytest.raises(InputError, match="record_steps: expected at least 64 for 4 a round to share, got 63"):
        loop(TASK, tmp_path / "loop", policies=4, record_steps=63, obs="state")
    with pytest.raises(InputError, match="policies"):
        loop(TASK, tmp_path / "loop", policies=0, obs="state")
    assert not (tmp_path / "loop").exists()


def test_verbs_of_the_command_line(road, tmp_path, capsys):
    code, out, err = _run(capsys, "record", TASK, "--steps", 50, "--obs", "state", "--out", tmp_path / "d")
    assert code == 0 and out == "" and "56 steps" in err
    arguments = ("--steps", 128, "--num-envs", 8, "--rollout", 8, "--horizon", 10, "--out", tmp_path / "p")
    code, out, _ = _run(capsys, "imagine", road / "model", *arguments)
    assert code == 0 and out == ""
    code, out, _ = _run(capsys, "evaluate", tmp_path / "p", "--task", TASK, "--episodes", 3, "--json")
    result = json.loads(out)
    assert code == 0 and result["episodes"] == 3 and len(result["returns"]) == 3 and result["ci95"][0] <= result["mean"]
    code, out, _ = _run(capsys, "evaluate", "zero", "--task", TASK, "--episodes", 2, "--world", "mass", "1.5")
    assert code == 0 and out.startswith(f"zero on {TASK} (real): ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "zero", "--task", "wmenv/Nothing-v0"], "wmenv/Nothing-v0"),
        (["evaluate", "zero", "--task", TASK, "--world", "colour", "1"], "colour"),
        (["evaluate", "no/such/policy"], "policy: expected a policy folder"),
        (["evaluate", "zero"], "task: expected"),
        (["imagine", "no/such/model", "--steps", "1", "--out", "{tmp}/p"], "no/such/model"),
        (["imagine", "{road}/model", "--steps", "0", "--out", "{tmp}/p"], "steps: expected"),
        (["imagine", "{road}/model", "--steps", "9", "--num-envs", "0", "--out", "{tmp}/p"], "num_envs: expected"),
        (["imagine", "{road}/model", "--steps", "9", "--device", "tpu", "--out", "{tmp}/p"], "device: expected"),
        (["loop", TASK, "--preset", "huge", "--out", "{tmp}/l"], "preset: expected"),
        (["train", "{road}/policy", "--out", "{tmp}/m"], "policy"),
        (["train", "{road}/data", "--preset", "huge", "--out", "{tmp}/m"], "preset: expected"),
        (["record", "wmenv/Hopper-v0", "--steps", "9", "--obs", "state", "--out", "{road}/data"], "task"),
        (["record", TASK, "--steps", "0", "--out", "{tmp}/d"], "steps: expected"),
        (["record", TASK, "--steps", "9", "--policy", "{road}/model", "--out", "{tmp}/d"], "config.json"),
        (["demo", "--out", "{road}"], "out: expected an empty folder"),
    ],
)
def test_bad_input_is_one_line_and_code_2(road, tmp_path, capsys, arguments, words):
    code, out, err = _run(capsys, *(a.format(road=road, tmp=tmp_path) for a in arguments))
    assert code == 2 and out == ""
    assert words in err and err.startswith("wmenv: ") and err.count("\n") == 1, err


def test_a_policy_of_another_task_is_refused(road):
    with pytest.raises(InputError, match="task"):
        evaluate(road / "policy", task="wmenv/Hopper-v0", episodes=1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_dream_saves_the_policy_and_says_where(road, tmp_path, number, code):
    arguments = ["imagine", road / "model", "--steps", 10**9, "--num-envs", 8, "--rollout", 8, "--out", tmp_path / "p"]
    command = [sys.executable, "-m", "agents.cli", *map(str, arguments)]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    record_file = tmp_path / "p" / "metrics.jsonl"
    until = time.monotonic() + 200
    while time.monotonic() < until and not (record_file.exists() and record_file.read_text().count("\n") > 3):
        time.sleep(0.05)
    child.send_signal(number)
    _, err = child.communicate(timeout=100)
    assert child.returncode == code, err
    assert str(tmp_path / "p") in err.splitlines()[-1] and "Traceback" not in err
    assert Policy.load(tmp_path / "p").config.steps > 3 * 64
