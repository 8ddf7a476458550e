"""The learned tracker: learns, is stored without pickle, and is what `track_clips` accepts."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.config import PPOConfig
from agents.tracking.learned import LearnedTracker
from agents.tracking.track import track
from physics import ComputedTorque, Passive, record_clips, track_clips
from wmenv import CheckpointError, InputError

TASK = "wmenv/Reacher-v0"
SMALL = PPOConfig(num_envs=16, rollout=32, minibatches=4, epochs=4, learning_rate=2e-3, gamma=0.9, hidden=(32, 32))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and short clips, and no tracker that takes long."""
    module = import_module("agents.tracking.track")
    monkeypatch.setattr(module, "TRAIN_CLIPS", 32)
    monkeypatch.setattr(module, "TRAIN_FRAMES", 24)
    monkeypatch.setattr(module, "TEST_CLIPS", 8)
    monkeypatch.setattr(module, "TEST_FRAMES", (12,))
    monkeypatch.setattr(module, "rivals", lambda: {"passive": Passive()})


def run(out: Path, steps: int, **options: Any) -> list[dict[str, Any]]:
    return track(TASK, out, steps, config=SMALL, **options)


@pytest.mark.usefixtures("short")
def test_it_learns_to_follow_clips_and_is_read_back(tmp_path: Path):
    told: list[int] = []
    rows = run(tmp_path, 8_192, progress=lambda done, total, numbers: told.append(done))
    learned, passive = rows
    assert learned["tracker"] == "learned" and passive["tracker"] == "passive"
    assert learned["score"] > passive["score"] + 0.01
    assert told[-1] >= 8_192
    report = json.loads((tmp_path / "track.json").read_text())
    assert report["rows"] == rows and report["task"] == TASK and report["steps"] == 8_192
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "policy.safetensors", "track.json"}

    tracker = LearnedTracker.load(tmp_path)
    clips = record_clips(TASK, 3, 12, seed=1)
    together = track_clips(clips, tracker)
    assert np.mean([result.score for result in together]) > 0.8
    for clip, result in zip(clips, together, strict=True):
        (alone,) = track_clips([clip], tracker)
        assert np.array_equal(alone.qpos, result.qpos) and np.array_equal(alone.action, result.action)
    low, high = np.array(tracker.policy.config.action_low), np.array(tracker.policy.config.action_high)
    assert all((result.action >= low).all() and (result.action <= high).all() for result in together)


@pytest.mark.usefixtures("short")
def test_a_residual_begins_where_the_inverse_is_and_is_read_back_with_it(tmp_path: Path):
    rows = run(tmp_path, 512, residual=True)
    assert rows[0]["score"] > 0.9
    tracker = LearnedTracker.load(tmp_path)
    assert tracker.base == ComputedTorque(rounds=1)


@pytest.mark.usefixtures("short")
def test_the_same_seed_gives_the_same_tracker(tmp_path: Path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run(tmp_path / name, 512, seed=seed)
    a, b, c = ((tmp_path / name / "policy.safetensors").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.usefixtures("short")
def test_what_is_foreign_or_damaged_is_named(tmp_path: Path):
    run(tmp_path, 512)
    tracker = LearnedTracker.load(tmp_path)
    with pytest.raises(InputError, match=r"task: expected clips of wmenv/Reacher-v0, got wmenv/Hopper-v0"):
        track_clips(record_clips("wmenv/Hopper-v0", 1, 4), tracker)
    with pytest.raises(InputError, match="steps: expected an integer >= 1"):
        run(tmp_path, 0)
    with pytest.raises(InputError, match="seed: expected"):
        run(tmp_path, 512, seed=-1)
    weights = tmp_path / "policy.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="SHA-256"):
        LearnedTracker.load(tmp_path)
