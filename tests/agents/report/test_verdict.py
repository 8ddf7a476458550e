"""The verdict's files: a picture that is sound XML, numbers that are JSON, and errors for a person."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from agents import cli
from agents.report import verdict
from agents.report.verdict import verify
from physics import MotionClip, MotionVerifier, calibrate, record_clips

TASK = "wmenv/InvertedPendulum-v0"
REAL_VERIFIER = MotionVerifier


@pytest.fixture(scope="module")
def clips() -> list[MotionClip]:
    return record_clips(TASK, 40, 12, seed=1)


@pytest.fixture(autouse=True)
def quick(clips: list[MotionClip], monkeypatch: pytest.MonkeyPatch) -> None:
    known = calibrate(clips, noise=0.02)
    monkeypatch.setattr(
        verdict, "MotionVerifier", lambda task, noise: MotionVerifier(task, noise=noise, calibration=known)
    )


def test_a_wrong_clip_is_drawn_with_its_reasons(clips: list[MotionClip], tmp_path: Path):
    qpos = clips[0].qpos.copy()
    qpos[8:, 1] += 0.8
    report = verify(replace(clips[0], qpos=qpos), tmp_path)
    svg = ElementTree.parse(tmp_path / "verdict.svg").getroot()
    text = " ".join(svg.itertext())
    assert "is not physics" in text and report.sentences[0] in text
    boxes = [e.get("class") for e in svg.iter("{http://www.w3.org/2000/svg}rect") if e.get("class")]
    assert len(boxes) == 9 and boxes[0] == "good" and "bad" in boxes[5:]
    stored = json.loads((tmp_path / "verdict.json").read_text())
    assert stored["clip_score"] == report.clip_score and not stored["plausible"]
    assert stored["signals"]["replay_8"]["unit"] == "spread" and len(stored["signals"]["replay_8"]["values"]) == 12


def test_a_clip_of_two_frames_and_one_of_nothing_but_nan_are_drawn(clips: list[MotionClip], tmp_path: Path):
    short = MotionClip(task=TASK, qpos=clips[0].qpos[:2], qvel=clips[0].qvel[:2], action=clips[0].action[:1])
    verify(short, tmp_path / "short")
    report = verify(replace(short, qpos=np.full((2, 2), np.nan)), tmp_path / "nan")
    assert report.diverged_at == 0 and ElementTree.parse(tmp_path / "nan" / "verdict.svg")


def test_the_verb(clips: list[MotionClip], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    clips[1].save(tmp_path / "clip.npz")
    assert cli.main(["verify", str(tmp_path / "clip.npz"), "--out", str(tmp_path / "out")]) == 0
    assert "wmenv/InvertedPendulum-v0: " in capsys.readouterr().out and (tmp_path / "out" / "verdict.svg").exists()
    assert cli.main(["verify", str(tmp_path / "none.npz"), "--out", str(tmp_path / "out")]) == cli.FAULTY
    assert "clip: expected a file of MotionClip.save" in capsys.readouterr().err


def damaged(path: Path) -> bytes:
    whole = bytearray(path.read_bytes())
    whole[200] ^= 255
    return bytes(whole)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("folder", "clip: expected a file of MotionClip.save, got"),
        ("text", "which is no .npz archive"),
        ("bare", "which is no .npz archive"),
        ("empty", "which is no .npz archive"),
        ("cut", "clip: expected a file of MotionClip.save, got"),
        ("flipped", "clip: expected a file of MotionClip.save, got"),
        ("other", "clip: expected a file of MotionClip.save, got"),
        ("task", "task: expected a registered task id, got 'wmenv/Nope-v0'"),
        ("robot", "qpos: expected 6 columns for wmenv/Hopper-v0, got 2"),
        ("out", "out: expected a folder that can be made, got"),
    ],
)
def test_what_cannot_be_judged_is_one_clear_line(
    broken: str, says: str, clips: list[MotionClip], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    path, out = tmp_path / "clip.npz", tmp_path / "out"
    clips[0].save(path)
    whole = path.read_bytes()
    if broken == "folder":
        path = tmp_path
    elif broken == "other":
        np.savez(path, qpos=np.zeros((3, 2)))
    elif broken == "bare":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif broken in ("task", "robot"):
        monkeypatch.setattr(verdict, "MotionVerifier", REAL_VERIFIER)
        task = {"task": "wmenv/Nope-v0", "robot": "wmenv/Hopper-v0"}[broken]
        replace(clips[0], task=task).save(path)
    elif broken == "out":
        out.write_text("a file")
    else:
        content = {"text": b"hello\nworld", "empty": b"", "cut": whole[: len(whole) // 2], "flipped": damaged(path)}
        path.write_bytes(content[broken])
    assert cli.main(["verify", str(path), "--out", str(out)]) == cli.FAULTY
    told = capsys.readouterr()
    assert told.out == "" and says in told.err and len(told.err.strip().splitlines()) == 1
    assert not out.is_dir() or not any(out.iterdir()), "nothing half done is left behind"
