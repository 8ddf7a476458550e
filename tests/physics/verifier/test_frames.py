"""Films through a shipped estimator: real ones pass, ones of other physics and of nothing real do not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from physics import FrameVerifier, MotionClip, StateEstimator, World, calibrate, film, record_clips
from physics.corruptions import corrupt
from physics.verifier.frames import read_films

TASK = "wmenv/InvertedPendulum-v0"


@pytest.fixture(scope="module")
def verifier() -> FrameVerifier:
    estimator = StateEstimator.shipped(TASK)
    known = calibrate(record_clips(TASK, 36, 16, seed=5), read=partial(read_films, estimator))
    return FrameVerifier(estimator, known)


def films(clips: list[MotionClip]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [film(clip, size=64) for clip in clips], [np.asarray(clip.action) for clip in clips]


def test_real_films_pass_and_others_do_not(verifier: FrameVerifier):
    clips = record_clips(TASK, 12, 16, seed=6)
    real = np.array([report.clip_score for report in verifier.verify(*films(clips))])
    assert np.median(real) < 1
    weak = [clip for clip in corrupt("gear", clips, seed=0) if clip is not None]
    wrong = np.array([report.clip_score for report in verifier.verify(*films(weak))])
    assert np.mean(wrong[:, None] > real[None]) > 0.8
    swapped = [replace(a, action=b.action) for a, b in zip(clips, clips[::-1], strict=True)]
    assert np.median([report.clip_score for report in verifier.verify(*films(swapped))]) > 1.5


def test_a_digest_tells_worlds_and_readers_apart(verifier: FrameVerifier):
    same = FrameVerifier(StateEstimator.shipped(TASK), verifier.calibration)
    heavier = FrameVerifier(verifier.estimator, verifier.calibration, [World(mass=1.1)])
    assert same.digest == verifier.digest != heavier.digest
    shaken = StateEstimator.shipped(TASK)
    shaken._motion.sigma[0] += 1e-6
    assert FrameVerifier(shaken, verifier.calibration).digest != verifier.digest


def test_a_film_of_nothing_real_is_doubted(verifier: FrameVerifier):
    noise = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3)).astype(np.uint8)
    (report,) = verifier.verify([noise])
    assert not report.plausible and report.signals["disagreement"].mean() > 1


def test_without_actions(verifier: FrameVerifier):
    frames, _ = films(record_clips(TASK, 2, 16, seed=7))
    assert all("innovation" not in report.signals for report in verifier.verify(frames))
