"""Trackers against motions whose answer is known: followed to the millimetre, lost where the clip jumps."""

from __future__ import annotations

import numpy as np
import pytest

from physics.clips.clip import MotionClip
from physics.clips.real import random_actions, record_clips
from physics.errors import ClipError
from physics.mechanics.control_model import control_model
from physics.mechanics.simulator import Simulator
from physics.tracker import ComputedTorque, Passive, SamplingMPC, track_clips, track_states
from physics.tracker.reference import LARGEST
from physics.tracker.track import CHUNK

REACHER, HOPPER, PENDULUM = "wmenv/Reacher-v0", "wmenv/Hopper-v0", "wmenv/InvertedPendulum-v0"
SMALL_MPC = SamplingMPC(horizon=3, samples=6)
TRACKERS = {"inverse": ComputedTorque(), "mpc": SMALL_MPC}


def simulated(task: str, frames: int, rows: int) -> list[MotionClip]:
    """Clips that the simulator made from the model's own pose by known actions."""
    m = control_model(task)
    action = random_actions(m, rows, frames - 1, np.random.default_rng(3))
    start, rest = np.tile(m.model.qpos0, (rows, 1)), np.zeros((rows, m.model.nv))
    out = Simulator(m, rows).rollout(start, rest, action)
    qpos = np.concatenate((start[:, None], out.qpos), axis=1)
    qvel = np.concatenate((rest[:, None], out.qvel), axis=1)
    return [MotionClip(task=task, qpos=qpos[b], qvel=qvel[b], action=action[b]) for b in range(rows)]


def edited(clip: MotionClip, frame: int, coordinate: int, by: float) -> MotionClip:
    qpos = clip.qpos.copy()
    qpos[frame:, coordinate] += by
    return MotionClip(task=clip.task, qpos=qpos, qvel=clip.qvel)


@pytest.mark.parametrize("name", TRACKERS)
def test_an_arm_is_followed_without_its_actions(name: str):
    clips = simulated(REACHER, 12, 4)
    results = track_clips([clip.without_actions() for clip in clips], TRACKERS[name])
    assert max(r.worst_body_error.max() for r in results) < 0.001
    # a fully actuated arm leaves one answer: the actions themselves
    for clip, result in zip(clips, results, strict=True):
        assert clip.action is not None
        np.testing.assert_allclose(result.action, clip.action, atol=0.02)
    assert max(r.worst_body_error.max() for r in track_clips(clips, Passive())) > 0.01


@pytest.mark.parametrize("task", [PENDULUM, HOPPER, "wmenv/HalfCheetah-v0"])
def test_real_clips_are_never_lost(task: str):
    for result in track_clips(record_clips(task, 4, 12, seed=1)):
        assert result.failed_at_025 is None and result.diverged_at is None
        assert result.score.min() > 0.8


def test_a_teleport_is_lost_at_its_frame():
    clips = [edited(clip, 7, 0, 3.0) for clip in record_clips(HOPPER, 2, 12, seed=1)]
    for result in track_clips(clips):
        assert result.failed_at_025 == result.failed_at_05 == 7
        assert result.position_error[7] == pytest.approx(3.0, abs=0.2)
        assert result.position_error[:7].max() < 0.25


def test_a_floating_robot_cannot_be_followed():
    real = record_clips(HOPPER, 4, 48, seed=1)
    lifted = []
    for clip in real:
        qpos, qvel = np.repeat(clip.qpos[:1], 48, axis=0), np.zeros_like(clip.qvel)
        qpos[:, 1] += 1.0
        lifted.append(MotionClip(task=HOPPER, qpos=qpos, qvel=qvel))
    fall = [r.position_error[-1] for r in track_clips(lifted)]
    seconds = 47 * control_model(HOPPER).dt
    # legs may kick, the whole can only fall: half g t^2
    np.testing.assert_allclose(fall, 0.5 * 9.81 * seconds**2, rtol=0.3)
    assert min(fall) > 10 * max(r.position_error[-1] for r in track_clips(real))


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_is_one_clip_at_a_time_bit_for_bit(name: str, threads: int):
    clips = record_clips(HOPPER, 3, 6, seed=2)
    together = track_clips(clips, TRACKERS[name], threads=threads)
    for clip, result in zip(clips, together, strict=True):
        (alone,) = track_clips([clip], TRACKERS[name], threads=1)
        for field in ("qpos", "qvel", "action", "position_error", "score"):
            assert np.array_equal(getattr(alone, field), getattr(result, field)), field


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e12])
@pytest.mark.parametrize("frame", [0, 4])
def test_what_is_no_number_fails_there_and_spoils_no_other_clip(value: float, frame: int):
    clips = record_clips(HOPPER, 2, 8, seed=1)
    qpos, qvel = clips[0].qpos.copy(), clips[0].qvel.copy()
    qpos[frame, 2], qvel[frame, 0] = value, value
    bad = MotionClip(task=HOPPER, qpos=qpos, qvel=qvel, action=clips[0].action)
    result, other = track_clips([bad, clips[1]])
    assert result.failed_at_05 == frame
    assert result.position_error[frame] == result.worst_body_error[frame] == LARGEST
    assert result.score[frame] == 0 and np.isfinite(result.position_error).all() and np.isfinite(result.qpos).all()
    assert np.array_equal(other.qpos, track_clips(clips[1:])[0].qpos)


def test_a_clip_without_any_number_is_a_failed_result():
    clip = MotionClip(task=HOPPER, qpos=np.full((5, 6), np.nan), qvel=np.full((5, 6), np.nan))
    for tracker in TRACKERS.values():
        (result,) = track_clips([clip], tracker)
        assert result.failed_at_025 == 0 and (result.position_error == LARGEST).all() and (result.score == 0).all()


def test_a_simulation_that_diverges_is_marked_from_there_on():
    m = control_model(HOPPER)
    qpos, qvel = np.tile(m.model.qpos0, (2, 5, 1)), np.zeros((2, 5, m.model.nv))
    qvel[0] = 9e5
    tracks = track_states(m, qpos, qvel, ComputedTorque())
    first = int(np.argmax(tracks.diverged[0]))
    assert tracks.diverged[0, first:].all() and first > 0 and not tracks.diverged[1].any()
    assert (tracks.errors.position[0, first:] == LARGEST).all() and np.isfinite(tracks.qpos).all()


def test_use_actions_begins_with_those_of_the_clip():
    clip = record_clips("wmenv/HalfCheetah-v0", 1, 12, seed=5)[0]
    seeing = SamplingMPC(horizon=2, samples=2, rounds=1, noise=0.0, use_actions=True, inverse=ComputedTorque(rounds=1))
    blind = SamplingMPC(horizon=2, samples=2, rounds=1, noise=0.0, inverse=ComputedTorque(rounds=1))
    told, untold = (track_clips([clip], tracker)[0] for tracker in (seeing, blind))
    assert told.position_error.mean() < 0.5 * untold.position_error.mean()
    (unaware,) = track_clips([clip.without_actions()], seeing)
    assert np.array_equal(unaware.qpos, untold.qpos)


def test_clips_of_many_tasks_and_lengths_come_back_in_order():
    clips = [
        *record_clips(PENDULUM, 1, 4, seed=0),
        *record_clips(HOPPER, 1, 3, seed=0),
        *record_clips(PENDULUM, 1, 6, seed=1),
        record_clips(PENDULUM, 1, 4, seed=2)[0].without_actions(),
    ]
    results = track_clips(clips, Passive())
    assert [r.qpos.shape for r in results] == [(4, 2), (3, 6), (6, 2), (4, 2)]
    for clip, result in zip(clips, results, strict=True):
        assert np.array_equal(result.qpos[0], clip.qpos[0])
    assert track_clips([]) == []


def test_more_clips_than_a_chunk():
    clips = record_clips(PENDULUM, 1, 2, seed=0) * (CHUNK + 1)
    results = track_clips(clips, Passive())
    assert len(results) == CHUNK + 1 and np.array_equal(results[0].qpos, results[-1].qpos)


def test_a_clip_of_another_robot_is_refused():
    clip = MotionClip(task=HOPPER, qpos=np.zeros((3, 2)), qvel=np.zeros((3, 2)))
    with pytest.raises(ClipError, match="qpos: expected 6 coordinates"):
        track_clips([clip])
