"""Clips: what is refused, what is kept, and files that are whole or named as damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from physics.clips.clip import MotionClip
from physics.errors import ClipError
from physics.world import World

GOOD = {"task": "t", "qpos": np.zeros((3, 2)), "qvel": np.zeros((3, 2)), "action": np.zeros((2, 1))}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": ""}, "task: expected a task id"),
        ({"qpos": np.zeros(3)}, r"qpos: expected shape \(frames, coordinates\)"),
        (
            {"qpos": np.zeros((1, 2)), "qvel": np.zeros((1, 2)), "action": None},
            "qpos: expected at least 2 frames, got 1",
        ),
        ({"qpos": np.zeros((0, 2))}, "qpos: expected at least 2 frames, got 0"),
        ({"qpos": np.zeros((3, 0))}, "qpos: expected shape"),
        ({"qvel": np.zeros((2, 2))}, "qvel: expected as many frames as qpos, 3, got 2"),
        ({"action": np.zeros((3, 1))}, "action: expected one between two frames, 2, got 3"),
        ({"qpos": [["a", "b"]] * 3}, "qpos: expected a matrix of numbers"),
        ({"qpos": [[1, 2], [3]]}, "qpos: expected a matrix of numbers"),
        ({"qpos": np.zeros((3, 20_000))}, "qpos: expected shape"),
        ({"qvel": None}, "qvel: expected a matrix|qvel: expected shape"),
        ({"world": {"weight": 2}}, "world: expected names"),
    ],
)
def test_bad_fields_are_named(change: dict, says: str):
    with pytest.raises(ValueError, match=says):
        MotionClip(**(GOOD | change))


def test_arrays_are_copied_and_may_hold_what_is_not_finite():
    qpos = np.full((3, 2), np.nan)
    clip = MotionClip(**(GOOD | {"qpos": qpos}))
    qpos[:] = 0
    assert np.isnan(clip.qpos).all() and clip.frames == 3
    with pytest.raises(ValueError, match="read-only"):
        clip.qvel[0, 0] = 1


@pytest.mark.parametrize("action", [None, np.ones((2, 1))])
def test_a_file_gives_back_the_clip(tmp_path: Path, action: np.ndarray | None):
    clip = MotionClip(
        **(GOOD | {"qpos": np.array([[1, np.inf], [np.nan, 2], [3, 4]]), "action": action}), world=World(mass=2)
    )
    clip.save(tmp_path / "clip.npz")
    again = MotionClip.load(tmp_path / "clip.npz")
    assert again.task == clip.task and again.world == clip.world and (again.action is None) == (action is None)
    np.testing.assert_array_equal(again.qpos, clip.qpos)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.npz"], "no temporary file remains"


def test_damaged_files_are_clip_errors(tmp_path: Path):
    path = tmp_path / "clip.npz"
    MotionClip(**GOOD).save(path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    wrong = [b"", b"PK", whole[:-30], b"\x00" * 100, b'{"a": 1}']
    wrong += [whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in rng.integers(0, len(whole), 60)]
    refused = 0
    for data in wrong:
        path.write_bytes(data)
        try:
            clip = MotionClip.load(path)
        except ClipError as error:
            refused += 1
            assert "clip: expected" in str(error) or "expected" in str(error)
        else:
            assert clip.task == "t" and clip.frames == 3, "a flipped bit outside the content changes nothing"
    assert refused >= 40, "a zip archive keeps checksums of its content"
    path.write_text("text")
    with pytest.raises(ClipError, match=r"no \.npz archive"):
        MotionClip.load(path)
    with pytest.raises(ClipError, match=r"missing\.npz"):
        MotionClip.load(tmp_path / "missing.npz")


def test_a_pickle_is_never_opened(tmp_path: Path):
    np.savez(
        tmp_path / "evil.npz", about=np.array([object()], dtype=object), qpos=np.zeros((3, 2)), qvel=np.zeros((3, 2))
    )
    with pytest.raises(ClipError, match="clip: expected"):
        MotionClip.load(tmp_path / "evil.npz")
