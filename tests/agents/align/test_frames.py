"""Dreams of frames are graded through the frozen estimator that reads states out of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import physics
from agents.align import AlignConfig, align
from agents.align.dreams import dream
from agents.align.drivers import Recorded
from agents.align.grading import Grader, dense, grade, motions
from agents.align.real_data import RealData
from agents.align.verifiers import calibrated, seen_clips
from agents.recording.record import record
from agents.tune import tune
from physics.verifier.frames import read_films
from wmenv import DataError, EpisodeStore, InputError, WorldModel, presets
from wmenv.train import train

TASK = "wmenv/InvertedPendulum-v0"
SMALL = replace(
    presets.PRESETS["tiny"], vae_width=8, vae_steps=20, width=48, depth=1, heads=3, head_width=32, steps=20, rows=8,
    starts=32,
)  # fmt: skip
QUICK = AlignConfig(
    updates=1, starts=4, group=2, lead=0, frames=8, real_rows=8, gate=100.0, energy_floor=0.0, sensitivity_floor=0.0
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    record(TASK, 600, "explore", folder / "data", obs="frames", num_envs=4, seed=0)
    train(folder / "data", folder / "model", preset=SMALL)
    return folder


@pytest.fixture(scope="module")
def verifier() -> physics.FrameVerifier:
    estimator = physics.StateEstimator.shipped(TASK)
    real = physics.record_clips(TASK, 32, 9, seed=1)
    return physics.FrameVerifier(estimator, physics.calibrate(real, read=partial(read_films, estimator)))


def test_a_model_of_frames_is_tuned(made: Path, verifier: physics.FrameVerifier, tmp_path: Path) -> None:
    given = WorldModel.from_pretrained(made / "model")
    tuned = align(given, made / "data", tmp_path, config=QUICK, verifier=verifier)
    assert tuned.config == given.config


def test_what_was_seen_before_is_judged_with_a_dream(made: Path) -> None:
    """The speed at which a dream begins is read from the frames before it, which are no part of what it earns."""
    model = WorldModel.from_pretrained(made / "model")
    real = RealData.of(model, EpisodeStore.open(made / "data").load())
    generator = torch.Generator().manual_seed(0)
    context = real.contexts(model, 4, 2, generator)
    assert context.valid.all(), "only starts whose whole past was recorded"
    seen = seen_clips(model, real, 2)
    grader = Grader.of(model, calibrated(model, seen, [physics.World()], noise=0.0, signals=["replay_1"]))
    dreams = dream(model, context, Recorded(), None, 2, 1, generator)
    dreams = dreams._replace(alive=torch.ones_like(dreams.alive))
    (part,) = motions(grader, model, dreams)
    assert part.frames == 2 and {clip.frames for clip in part.clips} == {model.context + 2} == {seen.clips[0].frames}
    led = model.action_middle + model.action_half * torch.cat((context.actions[:, 1:], dreams.actions), dim=1)
    np.testing.assert_allclose([clip.action for clip in part.clips], led.numpy(), atol=1e-6)
    grades = grade(grader, model, dreams, dense)
    last = [report.reward()[-2:] for report in grades.reports if report is not None]
    np.testing.assert_allclose(grades.reward.numpy(), last, atol=1e-6)


def test_a_recording_without_one_whole_past_is_refused(made: Path) -> None:
    model = WorldModel.from_pretrained(made / "model")
    short = [e for e in EpisodeStore.open(made / "data").load() if e.num_steps < model.context]
    real = RealData.of(model, short)
    with pytest.raises(DataError, match=f"data: expected an episode of {model.context} steps or more to learn from"):
        real.contexts(model, 4, 1, torch.Generator().manual_seed(0))


def test_a_model_of_frames_is_examined(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.examine.HORIZON", 4)
    monkeypatch.setattr("agents.align.verifiers.IDENTIFIED_FRAMES", 9)  # few of so short a recording are longer
    config = replace(QUICK, starts=4, frames=1, worlds=1)
    found = tune(made / "model", tmp_path, data=made / "data", config=config)
    assert found["modality"] == "frames" and found["real"]["V"]["violations"] < 0.2
    assert 0 <= found["after"]["J"]["violations"] <= 1
    assert "two judges" in (tmp_path / "align.html").read_text().lower()


def test_a_verifier_of_states_is_refused(made: Path, tmp_path: Path) -> None:
    clips = physics.record_clips(TASK, 48, 2, seed=1)
    states = physics.MotionVerifier(TASK, calibration=physics.calibrate(clips, signals=["replay_1"]))
    with pytest.raises(InputError, match="verifier: expected a FrameVerifier"):
        align(made / "model", made / "data", tmp_path, config=QUICK, verifier=states)
