"""Dreams of frames are graded through the frozen estimator that reads states out of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import physics
from agents.align import AlignConfig, align
from agents.recording.record import record
from physics.verifier.frames import read_films
from wmenv import InputError, WorldModel, presets
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
    record(TASK, 300, "explore", folder / "data", obs="frames", num_envs=4, seed=0)
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


def test_a_verifier_of_states_is_refused(made: Path, tmp_path: Path) -> None:
    clips = physics.record_clips(TASK, 48, 2, seed=1)
    states = physics.MotionVerifier(TASK, calibration=physics.calibrate(clips, signals=["replay_1"]))
    with pytest.raises(InputError, match="verifier: expected a FrameVerifier"):
        align(made / "model", made / "data", tmp_path, config=QUICK, verifier=states)
