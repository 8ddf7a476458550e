"""Shows that an estimator reads clips, publishes its errors, is saved to the bit, and names what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

import physics
from physics.clips.real import record_clips
from physics.estimator import EstimatorError, StateEstimator, train_estimator
from physics.estimator.readers import Reader
from physics.estimator.scenes import Scene
from physics.verifierbench.sight import sight_of

PENDULUM = "wmenv/InvertedPendulum-v0"
RED = (1.0, 0.15, 0.1)


@pytest.fixture(scope="module")
def estimator() -> StateEstimator:
    """Hardly trained: what is tested with it is not how exact it is."""
    return train_estimator(PENDULUM, steps=150, clips=5, poses=400, members=2)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    clip = record_clips(PENDULUM, 1, 12, seed=5)[0]
    with Scene(PENDULUM) as scene:
        return scene.draw(clip.qpos, np.random.default_rng(0))


def test_reading_gives_a_clip_and_the_same_one_again(estimator: StateEstimator, frames: np.ndarray):
    action = np.zeros((11, 1))
    clip, disagreement = estimator.read(frames, action)
    assert clip.qpos.shape == (12, 2) and clip.qvel.shape == (12, 2) and disagreement.shape == (12,)
    assert clip.task == PENDULUM and clip.action is not None
    clips, disagreements = estimator.read_many([frames[:5], frames], [None, action])
    assert (clips[1].qpos == clip.qpos).all() and (clips[1].qvel == clip.qvel).all()
    assert (disagreements[1] == disagreement).all() and clips[0].frames == 5 and clips[0].action is None


def test_frames_of_noise_are_not_agreed_upon(estimator: StateEstimator, frames: np.ndarray):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, frames.shape).astype(np.uint8)
    assert estimator.read(noise)[1].min() > 2
    clip, disagreement = estimator.read(np.zeros_like(frames))
    assert disagreement.min() > 2 and np.isfinite(clip.qvel).all()


def test_errors_are_published_by_coordinate(estimator: StateEstimator):
    assert list(estimator.errors) == ["qpos:slider [m]", "qpos:hinge [rad]", "qvel:slider [m/s]", "qvel:hinge [rad/s]"]
    assert all(0 < row.rms < row.spread for row in estimator.held_out if row.name.startswith("qpos"))
    assert estimator.unseen == () or all(name in "qpos:slider qvel:slider qvel:hinge" for name in estimator.unseen)


def test_what_is_saved_is_loaded_to_the_bit(estimator: StateEstimator, frames: np.ndarray, tmp_path: Path):
    estimator.save(tmp_path)
    estimator.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    again = StateEstimator.load(tmp_path)
    one, two = estimator.read(frames), again.read(frames)
    assert (one[0].qpos == two[0].qpos).all() and (one[0].qvel == two[0].qvel).all() and (one[1] == two[1]).all()
    assert again.held_out == estimator.held_out and again.errors == estimator.errors


def test_damaged_files_are_named(estimator: StateEstimator, tmp_path: Path):
    estimator.save(tmp_path)
    about, weights = tmp_path / "estimator.json", next(tmp_path.glob("*.safetensors"))
    text, payload = about.read_text(), weights.read_bytes()
    weights.write_bytes(payload[:-7] + b"1234567")
    with pytest.raises(EstimatorError, match="digest"):
        StateEstimator.load(tmp_path)
    weights.unlink()
    with pytest.raises(EstimatorError, match="expected the weights"):
        StateEstimator.load(tmp_path)
    weights.write_bytes(payload)
    for wrong in ("{", "[]", '{"format": 9}', '{"format": 1}', text.replace('"parts"', '"pats"'), text[:-40]):
        about.write_text(wrong)
        with pytest.raises(EstimatorError, match=r"estimator\.json"):
            StateEstimator.load(tmp_path)
    about.write_text(text.replace(PENDULUM, "wmenv/Reacher-v0"))
    with pytest.raises(EstimatorError, match="filter"):
        StateEstimator.load(tmp_path)
    with pytest.raises(EstimatorError, match="train one"):
        StateEstimator.load(tmp_path / "nowhere")


def test_weights_that_are_not_finite_or_missing_are_refused(estimator: StateEstimator, tmp_path: Path):
    arrays = load(save(estimator._arrays()))
    members = {name[8:]: array for name, array in arrays.items() if name.startswith("reader0")}
    with pytest.raises(EstimatorError, match="finite"):
        Reader({**members, "bias0": np.full_like(members["bias0"], np.nan)})
    with pytest.raises(EstimatorError, match="weight1"):
        Reader({**members, "weight1": members["weight1"][:, 1:]})
    del members["bias2"]
    with pytest.raises(EstimatorError, match="expected arrays"):
        Reader(members)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((5, 32, 32, 3), np.uint8),
        np.zeros((5, 64, 64, 3), np.float32),
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((1, 64, 64, 3), np.uint8),
        np.zeros((0, 64, 64, 3), np.uint8),
        [[0]],
        None,
    ],
)
def test_wrong_frames_are_refused(estimator: StateEstimator, wrong: object):
    with pytest.raises(EstimatorError, match="^frames: expected"):
        estimator.read(wrong)  # type: ignore[arg-type]


def test_wrong_arguments_are_refused(estimator: StateEstimator, frames: np.ndarray):
    for action in (np.zeros((3, 1)), np.zeros((11, 2)), "left"):
        with pytest.raises(EstimatorError, match="^action: expected"):
            estimator.read(frames, action)
    with pytest.raises(EstimatorError, match="^actions: expected"):
        estimator.read_many([frames], [])
    for wrong in ({"steps": 0}, {"clips": 1.5}, {"members": 1}):
        with pytest.raises(EstimatorError, match=f"^{next(iter(wrong))}: expected"):
            train_estimator(PENDULUM, **wrong)  # type: ignore[arg-type]
    with pytest.raises(EstimatorError, match="shipped"):
        StateEstimator.shipped("wmenv/NoSuchTask-v0")


def test_its_errors_are_the_users_like_those_of_clips():
    assert physics.EstimatorError is EstimatorError and issubclass(EstimatorError, physics.ClipError)
    with pytest.raises(physics.ClipError, match="expected one with a shipped estimator"):
        sight_of("wmenv/Pusher-v0", "frames")


def test_reading_needs_no_torch(estimator: StateEstimator, tmp_path: Path):
    estimator.save(tmp_path)
    code = f"""
import sys
sys.modules["torch"] = None
import numpy as np
from physics.estimator import StateEstimator
StateEstimator.load({str(tmp_path)!r}).read(np.zeros((3, 64, 64, 3), np.uint8))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
