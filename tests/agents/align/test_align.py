"""Alignment as a user runs it: on a real task with a small model, interrupted, misused, and caught when it cheats."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import physics
from agents.align import AlignConfig, align
from agents.align.dreams import dream
from agents.align.drivers import Recorded
from agents.align.grading import Grader, dense, grade
from agents.align.real_data import RealData
from agents.cli import main
from agents.policy import Policy, PolicyConfig
from agents.recording.record import record
from agents.tune import tune
from wmenv import CheckpointError, EpisodeStore, InputError, TrainingError, WorldModel, presets
from wmenv.train import train

TASK = "wmenv/InvertedPendulum-v0"
SMALL = replace(presets.PRESETS["tiny"], width=48, depth=2, heads=3, head_width=32, steps=60, rows=16, starts=64)
QUICK = AlignConfig(updates=2, starts=16, group=4, lead=4, worlds=1, check_every=1, real_rows=8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model of the pendulum and the recording that it learned from."""
    folder = tmp_path_factory.mktemp("align")
    record(TASK, 1_500, "explore", folder / "data", obs="state", num_envs=4, seed=0)
    train(folder / "data", folder / "model", preset=SMALL)
    return folder / "model", folder / "data"


@pytest.fixture(scope="module")
def verifier() -> physics.MotionVerifier:
    """Of single steps, calibrated on few clips."""
    clips = physics.record_clips(TASK, 64, 2, seed=1)
    signals = ("replay_1", "speed_mismatch")
    return physics.MotionVerifier(TASK, calibration=physics.calibrate(clips, noise=0.003, signals=signals))


def weights(model: WorldModel) -> np.ndarray:
    return torch.cat([p.flatten() for p in model.dynamics.parameters()]).numpy()


def test_the_verb_leaves_a_model_figures_and_a_page(made: tuple[Path, Path], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("agents.examine.HORIZON", 8)  # 64 take most of a minute
    model, data = made
    out = tmp_path / "tuned"
    options = ["--updates", "2", "--starts", "16", "--group", "4", "--worlds", "1", "--check-every", "1"]
    assert main(["align", str(model), "--data", str(data), "--task", TASK, "--out", str(out), *options]) == 0
    found = json.loads((out / "align.json").read_text())
    assert set(found["before"]) == {"frames", "figures", "V", "J", "gap", "phys_err_mm", "horizon"}
    assert found["real"]["V"]["violations"] < 0.2 < found["before"]["V"]["violations"], "real clips look real"
    assert 0 <= found["after"]["J"]["violations"] <= 1
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == [1, 2]
    assert "two judges" in (out / "align.html").read_text().lower()
    assert WorldModel.from_pretrained(out).config == WorldModel.from_pretrained(model).config
    assert not (out / "alignment").exists()
    (out / "align.json").unlink()  # as when it was killed while the models were examined
    assert main(["align", str(model), "--data", str(data), "--task", TASK, "--out", str(out), *options]) == 0
    once_more = json.loads((out / "align.json").read_text())
    assert {**once_more, "wall_seconds": 0} == {**found, "wall_seconds": 0}
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2
    (out / "align.json").unlink()
    (out / "worlds.json").write_text('{"worlds": [{"mass": "x"}]}')
    with pytest.raises(CheckpointError, match="worlds.json: expected the worlds of a verifier, got damage"):
        tune(model, out, data=data, config=replace(QUICK, lead=24, real_rows=32))
    (out / "align.json").write_text("{")
    with pytest.raises(CheckpointError, match="align.json: expected JSON, got damage"):
        tune(model, out, data=data, config=replace(QUICK, lead=24, real_rows=32))


def test_only_the_dynamics_are_tuned(made, verifier, tmp_path: Path) -> None:
    given = WorldModel.from_pretrained(made[0])
    tuned = align(given, made[1], tmp_path, config=replace(QUICK, gate=10.0), verifier=verifier)
    changed = {
        name.split(".")[0] for name, t in tuned.state_dict().items() if not torch.equal(t, given.state_dict()[name])
    }
    assert changed == {"dynamics"}


def test_a_killed_run_goes_on_to_the_same_weights(made, verifier, tmp_path: Path) -> None:
    whole = align(made[0], made[1], tmp_path / "whole", config=QUICK, verifier=verifier)

    def stop(done: int, of: int, numbers: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="goes on"):
        align(made[0], made[1], tmp_path / "killed", config=QUICK, verifier=verifier, progress=stop)
    assert not (tmp_path / "killed" / "config.json").exists()
    resumed = align(made[0], made[1], tmp_path / "killed", config=QUICK, verifier=verifier)
    np.testing.assert_array_equal(weights(resumed), weights(whole))
    again = align(made[0], made[1], tmp_path / "whole", config=QUICK, verifier=verifier)
    np.testing.assert_array_equal(weights(again), weights(whole))
    with pytest.raises(InputError, match="out: expected a new folder"):
        align(made[0], made[1], tmp_path / "whole", config=QUICK, verifier=verifier, seed=1)


def test_a_finished_run_is_not_taken_for_one_of_another_recording(made, verifier, tmp_path: Path) -> None:
    """Of as many episodes and steps of the same task."""
    one = EpisodeStore.open(made[1])
    other = EpisodeStore.create(tmp_path / "other", one.info)
    other.append([replace(episode, reward=episode.reward + 1) for episode in one])
    assert (other.num_episodes, other.num_steps) == (one.num_episodes, one.num_steps)
    config = replace(QUICK, updates=1)
    align(made[0], one.path, tmp_path / "out", config=config, verifier=verifier)
    with pytest.raises(InputError, match="out: expected a new folder"):
        align(made[0], other.path, tmp_path / "out", config=config, verifier=verifier)


def test_a_stopped_run_does_not_go_on_with_another_policy_or_in_other_worlds(made, verifier, tmp_path: Path) -> None:
    model = WorldModel.from_pretrained(made[0])
    c = model.config
    shape = PolicyConfig(
        task=TASK, observation_dim=c.history * c.num_tokens * c.token_dim, observation_bound=10.0,
        action_low=c.action_low, action_high=c.action_high,
    )  # fmt: skip
    policies = [Policy(shape, model=model, seed=seed) for seed in (0, 1)]
    heavier = physics.MotionVerifier(TASK, calibration=verifier.calibration, worlds=[physics.World(mass=1.1)])
    config = replace(QUICK, policy_share=0.5)

    def stop(done: int, of: int, numbers: object) -> None:
        raise KeyboardInterrupt

    def go(policy: Policy, verifier: physics.MotionVerifier, **more: Any) -> WorldModel:
        return align(made[0], made[1], tmp_path, config=config, policy=policy, verifier=verifier, **more)

    with pytest.raises(KeyboardInterrupt, match="goes on"):
        go(policies[0], verifier, progress=stop)
    for other in ((policies[1], verifier), (policies[0], heavier)):
        with pytest.raises(CheckpointError, match="expected the state of this run, got one of another"):
            go(*other)
    go(policies[0], verifier)
    with pytest.raises(InputError, match="out: expected a new folder"):
        go(policies[1], verifier)


def test_a_run_that_forgets_is_taken_back(made, verifier, tmp_path: Path) -> None:
    wild = replace(QUICK, learning_rate=0.03, real_weight=0.0, updates=1)
    given = WorldModel.from_pretrained(made[0])
    tuned = align(given, made[1], tmp_path, config=wild, verifier=verifier)
    np.testing.assert_array_equal(weights(tuned), weights(given))
    row = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["taken_back"] >= 1


def test_a_resumed_run_gives_up_where_an_unbroken_one_does(made, verifier, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("agents.align.run.MOST_TAKEN_BACK", 2)
    config = replace(QUICK, updates=4, learning_rate=0.03, real_weight=0.0)  # every look takes such rounds back

    def stop(done: int, of: int, numbers: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align(made[0], made[1], tmp_path, config=config, verifier=verifier, progress=stop)
    align(made[0], made[1], tmp_path, config=config, verifier=verifier)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == [1, 2] and all(row["taken_back"] for row in rows)


@pytest.mark.parametrize("method", ["binary", "grpo", "random", "dpo", "filter", "supervised"])
def test_every_method_runs(made, verifier, tmp_path: Path, method: str) -> None:
    config = replace(QUICK, method=method, updates=1, gate=10.0, energy_floor=0.0, sensitivity_floor=0.0)
    given = WorldModel.from_pretrained(made[0])
    tuned = align(given, made[1], tmp_path, config=config, verifier=verifier)
    assert np.isfinite(weights(tuned)).all()
    assert (weights(tuned) != weights(given)).any()


@pytest.mark.parametrize(
    ("steps", "exploration"), [(1, "bounded"), (2, "bounded"), (4, "bounded"), (2, "flow"), (4, "flow")]
)
def test_any_number_of_denoising_steps(made, verifier, tmp_path: Path, steps: int, exploration: Any) -> None:
    config = replace(QUICK, denoise_steps=steps, updates=1, exploration=exploration)
    align(made[0], made[1], tmp_path, config=config, verifier=verifier)
    row = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert row["clips"] > 0 and np.isfinite([row["reward"], row["loss/surrogate"], row["loss/gradient"]]).all()


def test_a_reward_that_can_be_hacked_is_seen_through(made) -> None:
    """A dream that hangs still pleases who asks for penetration alone; the whole report does not pass it."""
    model = WorldModel.from_pretrained(made[0])
    real = RealData.of(model, EpisodeStore.open(made[1]).load())
    generator = torch.Generator().manual_seed(0)
    context = real.contexts(model, 8, 16, generator)
    dreams = dream(model, context, Recorded(), None, 16, 1, generator)
    still = dreams._replace(
        latents=context.latents[:, -1:].expand_as(dreams.latents), alive=torch.ones_like(dreams.alive)
    )
    clips = physics.record_clips(TASK, 64, 17, seed=1)
    blind = physics.MotionVerifier(TASK, calibration=physics.calibrate(clips, signals=["penetration"]))
    fooled = grade(Grader(model, blind), model, still, dense)
    assert fooled.reward[fooled.judged].min() == 0
    whole = physics.MotionVerifier(TASK, calibration=physics.calibrate(clips))
    seen = grade(Grader(model, whole), model, still, dense)
    assert seen.reward[seen.judged].mean() < -0.05
    assert not any(report.plausible for report in seen.reports if report is not None)


def test_the_verifier_of_another_task_is_refused(made, tmp_path: Path) -> None:
    clips = physics.record_clips("wmenv/Reacher-v0", 64, 2, seed=1)
    other = physics.MotionVerifier("wmenv/Reacher-v0", calibration=physics.calibrate(clips, signals=["replay_1"]))
    with pytest.raises(InputError, match=f"verifier: expected one of {TASK}"):
        align(made[0], made[1], tmp_path, config=QUICK, verifier=other)


def test_other_mistakes_are_named(made, verifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="policy: expected a policy"):
        align(made[0], made[1], tmp_path, config=replace(QUICK, policy_share=0.5), verifier=verifier)
    assert (
        main(["align", str(made[0]), "--data", str(made[1]), "--task", "wmenv/Hopper-v0", "--out", str(tmp_path)]) == 2
    )


def test_a_reward_that_is_not_finite_stops(made, verifier) -> None:
    model = WorldModel.from_pretrained(made[0])
    real = RealData.of(model, EpisodeStore.open(made[1]).load())
    generator = torch.Generator().manual_seed(0)
    dreams = dream(model, real.contexts(model, 4, 1, generator), Recorded(), None, 1, 1, generator)
    with pytest.raises(TrainingError, match="reward: expected finite"):
        grade(Grader(model, verifier), model, dreams, lambda report: np.full(len(report.score), np.nan))
