"""The verifier: real clips pass, wrong ones do not, neighbours change nothing, and nothing in a dream breaks it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from physics import (
    SIGNALS,
    ClipError,
    MotionClip,
    MotionVerifier,
    PhysicsReport,
    TaskError,
    World,
    calibrate,
    record_clips,
)
from physics.clips.noise import Spread, add_noise
from physics.verifier.calibrate import ARMS
from physics.verifier.calibration import CAP, Calibration, Scale

TASK, PENDULUM = "wmenv/Hopper-v0", "wmenv/InvertedPendulum-v0"
NOISE = 0.02


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(record_clips(TASK, 90, 20, seed=11), noise=NOISE)


@pytest.fixture(scope="module")
def verifier(calibration: Calibration) -> MotionVerifier:
    return MotionVerifier(TASK, noise=NOISE, calibration=calibration)


def shaken(clips: list[MotionClip], known: Calibration, seed: int = 0) -> list[MotionClip]:
    spread = Spread(np.array(known.qpos_spread), np.array(known.qvel_spread))
    return add_noise(clips, NOISE, spread, seed)


@pytest.fixture(scope="module")
def real(calibration: Calibration) -> list[MotionClip]:
    return shaken(record_clips(TASK, 40, 20, seed=12), calibration)


def same(a, b) -> bool:
    return (
        a.clip_score == b.clip_score
        and a.fired == b.fired
        and all(np.array_equal(a.signals[name], b.signals[name]) for name in a.signals)
    )


def test_real_clips_pass_and_other_worlds_do_not(verifier: MotionVerifier, real: list[MotionClip], calibration):
    scores = np.array([report.clip_score for report in verifier.verify(real)])
    assert (scores > 1).mean() <= 0.15 and np.median(scores) < 1
    for world in (World(mass=1.6), World(gear=0.6), World(damping=4)):
        wrong = shaken(record_clips(TASK, 40, 20, seed=12, world=world), calibration)
        found = np.array([report.clip_score for report in verifier.verify(wrong)])
        assert np.mean(found[:, None] > scores[None]) > 0.8, world


def test_without_actions_only_what_needs_none_is_measured(verifier: MotionVerifier, real: list[MotionClip]):
    reports = verifier.verify([clip.without_actions() for clip in real])
    assert all(not SIGNALS[name].needs_action for name in reports[0].signals)
    assert np.mean([report.clip_score > 1 for report in reports]) <= 0.15
    lifted = [replace(clip.without_actions(), qpos=clip.qpos + [0, 0.3, 0, 0, 0, 0]) for clip in real]
    found = [report.clip_score for report in verifier.verify(lifted)]
    assert np.mean(np.array(found)[:, None] > np.array([r.clip_score for r in reports])[None]) > 0.8


def test_a_clip_is_judged_alike_alone_and_among_others(verifier: MotionVerifier, real: list[MotionClip]):
    clips = real[:7] + [clip.without_actions() for clip in real[7:11]]
    together = verifier.verify(clips)
    for clip, report in zip(clips, together, strict=True):
        assert same(verifier.verify_one(clip), report)
    again = verifier.verify(clips)
    assert all(same(a, b) for a, b in zip(together, again, strict=True))


def test_a_report_says_what_and_where(verifier: MotionVerifier, real: list[MotionClip]):
    qpos = real[0].qpos.copy()
    qpos[12:, 1] += 0.5
    report = verifier.verify_one(replace(real[0], qpos=qpos))
    assert not report.plausible and report.clip_score > 1 and report.diverged_at is None
    assert report.score[10:15].max() > 1 and report.score.shape == (20,)
    said = [int(sentence.split(":")[0].removeprefix("frame ")) for sentence in report.sentences]
    assert report.fired and all(8 <= frame <= 16 for frame in said), "the middle of the windows over the leap"
    assert report.reward().min() >= -1 and report.reward().max() <= 0 and report.reward()[12] < 0


def test_what_is_not_finite_is_a_report(verifier: MotionVerifier, real: list[MotionClip]):
    for value in (np.nan, np.inf, -np.inf, 1e12, 1e300):
        qvel = real[0].qvel.copy()
        qvel[7, 2] = value
        report = verifier.verify_one(replace(real[0], qvel=qvel))
        assert report.diverged_at == 7 and report.clip_score == CAP and report.fired[0] == "diverged"
        assert "frame 7" in report.sentences[0]
        assert all(np.isfinite(v).all() for v in report.signals.values()) and np.isfinite(report.score).all()
    assert verifier.verify_one(replace(real[0], qpos=np.full_like(real[0].qpos, np.nan))).diverged_at == 0


def test_actions_beyond_their_range_are_reported(verifier: MotionVerifier, real: list[MotionClip]):
    report = verifier.verify_one(replace(real[0], action=np.full_like(real[0].action, 5.0)))
    assert "action_excess" in report.fired and report.clip_score > 1


def test_quaternions_off_unit_length_are_reported():
    known = calibrate(record_clips("wmenv/Humanoid-v0", 30, 10, seed=3), noise=NOISE)
    judge = MotionVerifier("wmenv/Humanoid-v0", noise=NOISE, calibration=known)
    clip = record_clips("wmenv/Humanoid-v0", 1, 10, seed=4)[0]
    qpos = clip.qpos.copy()
    qpos[:, 3:7] *= 1.5
    for wrong in (qpos, np.where(np.arange(24) == 3, 0, qpos * (np.arange(24) != 4))):
        report = judge.verify_one(replace(clip, qpos=wrong))
        assert "quaternion" in report.fired and np.isfinite(report.clip_score)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "wmenv/Reacher-v0"}, "task: expected a clip of wmenv/Hopper-v0"),
        ({"qpos": np.zeros((20, 9))}, "qpos: expected 6 columns"),
        ({"qvel": np.zeros((20, 1))}, "qvel: expected 6 columns"),
        ({"action": np.zeros((19, 4))}, "action: expected 3 columns"),
    ],
)
def test_clips_of_another_robot_are_errors(verifier: MotionVerifier, real: list[MotionClip], change: dict, says: str):
    with pytest.raises(ClipError, match=says):
        verifier.verify([real[0], replace(real[1], **change)])


def test_bad_arguments(calibration: Calibration):
    with pytest.raises(TaskError, match="task: expected a registered task id"):
        MotionVerifier("wmenv/Hoper-v0")
    with pytest.raises(ClipError, match="noise: expected a number from 0 to 1"):
        MotionVerifier(TASK, noise=-0.1)
    with pytest.raises(ClipError, match="calibration: expected one of wmenv/Reacher-v0"):
        MotionVerifier("wmenv/Reacher-v0", calibration=calibration)
    with pytest.raises(ClipError, match="clips: expected 30 or more"):
        calibrate(record_clips(TASK, 5, 10), noise=0)


@pytest.mark.parametrize(
    ("unsure", "says"),
    [
        ([np.zeros(20)], "expected none, since this calibration knows no reader"),
        ([np.zeros(19)], r"expected shapes \[\(20,\)\]"),
        ([], r"expected shapes \[\(20,\)\]"),
        ([np.full(20, np.nan)], "expected finite numbers"),
    ],
)
def test_doubts_of_an_unknown_reader_are_an_error(calibration: Calibration, real: list[MotionClip], unsure, says: str):
    scales = calibration.scales
    if "knows no reader" not in says:
        scales = {**scales, "disagreement": Scale(frame=1, frame_most=1, clip=1, clip_most=1, bend=1)}
    verifier = MotionVerifier(TASK, calibration=replace(calibration, scales=scales))
    with pytest.raises(ClipError, match=says):
        verifier.verify(real[:1], unsure)


def test_worlds_that_explain_a_clip_are_heard(calibration: Calibration):
    """In the median of several worlds a heavier robot is no fault any more, a teleport still is."""
    heavy = shaken(record_clips(TASK, 20, 20, seed=13, world=World(mass=1.6)), calibration)
    strict = MotionVerifier(TASK, noise=NOISE, calibration=calibration)
    mild = MotionVerifier(
        TASK, noise=NOISE, calibration=calibration, worlds=[World(), World(mass=1.5), World(mass=1.7)]
    )
    name = "innovation"
    before, after = (np.mean([r.signals[name].mean() for r in v.verify(heavy)]) for v in (strict, mild))
    assert after < 0.6 * before
    jumped = [replace(c, qpos=c.qpos + np.where(np.arange(20) > 9, 0.4, 0)[:, None]) for c in heavy]
    assert np.mean([r.clip_score > 1 for r in mild.verify(jumped)]) > 0.9


def test_a_calibration_is_kept_as_json(calibration: Calibration, tmp_path):
    calibration.save(tmp_path / "known.json")
    assert Calibration.load(tmp_path / "known.json") == calibration and set(calibration.whole) == set(ARMS)
    whole = (tmp_path / "known.json").read_text()
    for text in ("", "{", "[]", whole.replace('"format": 2', '"format": 1'), whole.replace("clip", "clop"), "{}"):
        (tmp_path / "known.json").write_text(text)
        with pytest.raises(ClipError, match="calibration: expected a file"):
            Calibration.load(tmp_path / "known.json")


numbers = st.one_of(
    st.floats(-10, 10),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1e6, 1e12, -1e300, np.nan]),
)


def hold_no_clip_breaks_it(verifier: MotionVerifier, data, frames: int, actions: bool) -> None:
    def matrix(rows: int, columns: int) -> np.ndarray:
        size = data.draw(st.sampled_from([0.1, 1.0, 100.0]))
        base = size * np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(rows, columns))
        for _ in range(data.draw(st.integers(0, 4))):
            base[data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))] = data.draw(numbers)
        return base

    clip = MotionClip(
        task=TASK, qpos=matrix(frames, 6), qvel=matrix(frames, 6), action=matrix(frames - 1, 3) if actions else None
    )
    report = verifier.verify_one(clip)
    finite = [np.isfinite(a).all(-1) for a in (clip.qpos, clip.qvel)]
    assert (report.diverged_at is not None) or (finite[0] & finite[1]).all(), "what is not finite is flagged"
    assert np.isfinite(report.clip_score) and np.isfinite(report.score).all() and np.isfinite(report.reward()).all()
    assert all(np.isfinite(v).all() for v in (*report.signals.values(), *report.scores.values()))


@given(data=st.data(), frames=st.integers(2, 12), actions=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_no_clip_breaks_the_verifier(verifier: MotionVerifier, data, frames: int, actions: bool):
    hold_no_clip_breaks_it(verifier, data, frames, actions)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(data=st.data(), frames=st.integers(2, 12), actions=st.booleans())
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_none_of_ten_thousand_clips_does(verifier: MotionVerifier, data, frames: int, actions: bool):
    hold_no_clip_breaks_it(verifier, data, frames, actions)


def test_a_reward_halves_its_logarithm_and_ends_at_real() -> None:
    report = PhysicsReport(
        task="t", signals={}, scores={}, score=np.array([0.0, 1.0, 100.0, 1e4, 1e9]), clip_score=1.0, fired=(),
        sentences=(), diverged_at=None,
    )  # fmt: skip
    np.testing.assert_allclose(report.reward(), [0, 0, -0.5, -1, -1])


def test_a_verifier_of_some_signals_measures_those_alone() -> None:
    clips = record_clips(PENDULUM, 40, 9, seed=3)
    known = calibrate(clips, signals=["replay_1", "range_excess"])
    verifier = MotionVerifier(PENDULUM, calibration=known)
    report = verifier.verify_one(clips[0])
    assert set(report.signals) == {"replay_1", "range_excess"}
    far = replace(clips[0], qpos=clips[0].qpos + np.linspace(0, 1, 9)[:, None])
    assert verifier.verify_one(far).fired[0] == "replay_1"
    only = MotionVerifier(PENDULUM, calibration=calibrate(clips, signals=["replay_1"]))
    with pytest.raises(ClipError, match="action: expected actions"):
        only.verify_one(clips[0].without_actions())
    with pytest.raises(ClipError, match="signals: expected some of"):
        calibrate(clips, signals=["magic"])


@pytest.mark.parametrize("signals", [["drift"], ["drift", "tracking"], ["disagreement"]])
def test_signals_of_which_none_says_where_are_refused(signals: list[str]) -> None:
    with pytest.raises(ClipError, match="signals: expected one that says in which frame"):
        calibrate(record_clips(PENDULUM, 40, 9, seed=3), signals=signals)


def test_a_verifier_of_what_actions_forbid_says_so() -> None:
    clips = record_clips(PENDULUM, 40, 9, seed=3)
    verifier = MotionVerifier(PENDULUM, calibration=calibrate(clips, signals=["tracking"]))
    assert verifier.verify_one(clips[0].without_actions()).clip_score < 10
    with pytest.raises(ClipError, match=r"action: expected none, got some; this verifier measures tracking, .*without"):
        verifier.verify_one(clips[0])


def test_the_judge_can_be_a_world() -> None:
    """Clips of its own world are as good as real to a verifier of it, and not to that of the nominal one."""
    world = World(mass=1.5, gear=0.7)
    clips = record_clips(PENDULUM, 60, 17, seed=3, world=world)
    own = MotionVerifier(PENDULUM, worlds=[world], calibration=calibrate(clips, worlds=[world], noise=0.005))
    nominal = MotionVerifier(PENDULUM, noise=0.02)
    assert np.mean([r.plausible for r in own.verify(clips)]) > 0.9
    assert np.mean([r.plausible for r in nominal.verify(clips)]) < 0.5


def test_a_digest_tells_calibrations_and_worlds_apart(verifier: MotionVerifier, calibration: Calibration):
    same = MotionVerifier(TASK, calibration=calibration, worlds=[World()])
    assert same.digest == verifier.digest
    others = [
        MotionVerifier(TASK, calibration=calibration, worlds=[World(friction=0.9)]),
        MotionVerifier(TASK, calibration=calibration, worlds=[World(), World(friction=0.9)]),
        MotionVerifier(TASK, calibration=replace(calibration, clips=calibration.clips + 1)),
    ]
    assert len({verifier.digest, *(other.digest for other in others)}) == 4
