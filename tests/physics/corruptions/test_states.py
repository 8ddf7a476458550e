"""Shows that each edited motion differs from the real one in exactly what its docstring says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from physics.clips.clip import MotionClip
from physics.corruptions import corrupt
from physics.corruptions.structure import robot_of
from physics.mechanics.control_model import control_model
from physics.mechanics.tangent import Tangent

Record = Callable[..., list[MotionClip]]
FREE = ["Hopper", "HalfCheetah", "Walker2d", "Humanoid"]
HELD = ["InvertedPendulum", "Reacher", "Pusher", "CupLift"]


def _pairs(name: str, clips: list[MotionClip], strength: float = 1.0) -> list[tuple[MotionClip, MotionClip]]:
    found = corrupt(name, clips, seed=1, strength=strength)
    pairs = [(clip, other) for clip, other in zip(clips, found, strict=True) if other is not None]
    assert len(pairs) >= len(clips) // 2
    return pairs


def _moved(clip: MotionClip, other: MotionClip) -> tuple[np.ndarray, np.ndarray]:
    tangent = Tangent(control_model(clip.task).model)
    return tangent.difference(clip.qpos, other.qpos), other.qvel - clip.qvel


def _up(task: str) -> int:
    return {"Hopper": 1, "HalfCheetah": 1, "Walker2d": 1, "Humanoid": 2}[task]


@pytest.mark.parametrize("task", FREE)
@pytest.mark.parametrize(("name", "height"), [("float", 0.05), ("sink", -0.05)])
def test_a_robot_floats_or_sinks_by_5_cm_and_does_nothing_else(
    real: Record, task: str, name: str, height: float
) -> None:
    for clip, other in _pairs(name, real(task), strength=0.5):
        position, velocity = _moved(clip, other)
        expected = np.zeros_like(position)
        expected[:, _up(task)] = height / 2
        assert np.abs(position - expected).max() < 1e-12 and not velocity.any()
        assert np.array_equal(clip.action, other.action)


@pytest.mark.parametrize("task", HELD)
@pytest.mark.parametrize("name", ["float", "sink", "foot_skate", "drift_up"])
def test_what_is_held_has_no_height(real: Record, task: str, name: str) -> None:
    assert corrupt(name, real(task), seed=0) == [None] * 6


@pytest.mark.parametrize("name", ["float", "sink", "foot_skate"])
def test_a_robot_in_the_air_cannot_be_told_to_float(real: Record, name: str) -> None:
    clip = real("Hopper")[0]
    qpos = clip.qpos.copy()
    qpos[:, 1] += 5.0
    flying = MotionClip(task=clip.task, qpos=qpos, qvel=clip.qvel, action=clip.action)
    assert corrupt(name, [flying], seed=0) == [None]


@pytest.mark.parametrize("task", FREE)
def test_a_free_robot_leaps_30_cm_over_the_ground_once(real: Record, task: str) -> None:
    for clip, other in _pairs("teleport", real(task)):
        position, velocity = _moved(clip, other)
        leap = np.linalg.norm(position, axis=1)
        first = int(np.argmax(leap > 1e-9))
        assert clip.frames // 3 <= first < 2 * clip.frames // 3
        assert leap[:first].max() < 1e-12 and leap[first:] == pytest.approx(0.3) and not velocity.any()
        assert np.abs(position[:, _up(task)]).max() < 1e-12


@pytest.mark.parametrize("task", HELD)
def test_the_joints_of_a_held_robot_leap_once_and_objects_do_not(real: Record, task: str) -> None:
    m = control_model(f"wmenv/{task}-v0")
    hinge = np.array([joint.hinge for joint in robot_of(m).joints])
    own = [joint.qvel for joint in robot_of(m).joints]
    others = [i for i in range(m.model.nv) if i not in own]
    for clip, other in _pairs("teleport", real(task)):
        position, velocity = _moved(clip, other)
        first = int(np.argmax(np.abs(position).max(1) > 1e-9))
        size = np.abs(position[first:][:, own])
        assert (
            not velocity.any()
            and np.abs(position[:first]).max() < 1e-12
            and np.abs(position[:, others]).max(initial=0) < 1e-12
        )
        assert (np.ptp(size, axis=0) < 1e-12).all() and (np.abs(size[0][hinge] - 0.5) < 1e-12).all()
        assert (size[0][~hinge] > 0.02).all() and (size[0][~hinge] <= 0.1 + 1e-12).all()


@pytest.mark.parametrize("task", ["Humanoid", "CupLift", "Reacher"])
def test_slow_motion_is_the_motion_at_seven_tenths_of_the_time(real: Record, task: str) -> None:
    """At frame 10 stands what was at frame 7, with 0.7 times the velocity; in between lies the interpolation."""
    tangent = Tangent(control_model(f"wmenv/{task}-v0").model)
    for clip, other in _pairs("time_dilation", real(task)):
        assert np.abs(tangent.difference(clip.qpos[[0, 7, 14]], other.qpos[[0, 10, 20]])).max() < 1e-7
        assert np.abs(other.qvel[[0, 10, 20]] - 0.7 * clip.qvel[[0, 7, 14]]).max() < 1e-9
        part = tangent.difference(clip.qpos[0], other.qpos[1])
        assert np.abs(part - 0.7 * tangent.difference(clip.qpos[0], clip.qpos[1])).max() < 1e-9
        assert other.frames == clip.frames and np.array_equal(other.action, clip.action)


@pytest.mark.parametrize("task", ["InvertedPendulum", "Walker2d", "CupLift"])
def test_one_joint_freezes_and_the_others_go_on(real: Record, task: str) -> None:
    own = {joint.qvel for joint in robot_of(control_model(f"wmenv/{task}-v0")).joints}
    for clip, other in _pairs("frozen_joint", real(task)):
        position, velocity = _moved(clip, other)
        (changed,) = np.flatnonzero(np.abs(position).max(0) > 1e-12)
        assert changed in own and np.ptp(other.qpos[:, changed]) < 1e-12 and not other.qvel[:, changed].any()
        assert not np.delete(velocity, changed, axis=1).any()


@pytest.mark.parametrize(
    ("task", "left", "right"),
    [
        ("Walker2d", [6, 7, 8], [3, 4, 5]),
        ("Humanoid", [14, 15, 16, 17], [10, 11, 12, 13]),
        ("HalfCheetah", [6, 7, 8], [3, 4, 5]),
    ],
)
def test_legs_do_each_other_s_motion(real: Record, task: str, left: list[int], right: list[int]) -> None:
    shift = int(task == "Humanoid")  # its quaternion has a number more in qpos than in qvel
    for clip, other in _pairs("mirrored_limb", real(task)):
        assert np.allclose(other.qpos[:, left], clip.qpos[:, right]) and np.allclose(
            other.qpos[:, right], clip.qpos[:, left]
        )
        v_left, v_right = [i - shift for i in left], [i - shift for i in right]
        assert np.allclose(other.qvel[:, v_left], clip.qvel[:, v_right])
        rest = [i for i in range(clip.qpos.shape[1]) if i not in left + right]
        assert np.array_equal(other.qpos[:, rest], clip.qpos[:, rest])


def test_without_limbs_nothing_is_mirrored(real: Record) -> None:
    for task in ("InvertedPendulum", "Reacher", "Hopper", "Pusher"):
        assert corrupt("mirrored_limb", real(task), seed=0) == [None] * 6


@pytest.mark.parametrize("task", FREE)
def test_a_skating_robot_glides_at_half_a_metre_a_second(real: Record, task: str) -> None:
    dt = control_model(f"wmenv/{task}-v0").dt
    for clip, other in _pairs("foot_skate", real(task)):
        position, velocity = _moved(clip, other)
        assert np.linalg.norm(velocity, axis=1) == pytest.approx(0.5)
        assert np.abs(position - velocity * dt * np.arange(clip.frames)[:, None]).max() < 1e-9
        assert np.abs(position[:, _up(task)]).max() < 1e-12


def test_jitter_has_its_size_and_its_velocity(real: Record) -> None:
    clips, dt = real("Humanoid", num=20), control_model("wmenv/Humanoid-v0").dt
    moved = [_moved(clip, other) for clip, other in _pairs("jitter", clips)]
    shake, speed = (np.stack(part) for part in zip(*moved, strict=True))
    assert np.abs(shake[..., :6]).max() < 1e-15 and not speed[..., :6].any()  # the base stays
    assert shake[..., 6:].std() == pytest.approx(0.05, rel=0.03)
    assert np.abs(speed[:, 1:-1, 6:] - (shake[:, 2:, 6:] - shake[:, :-2, 6:]) / (2 * dt)).max() < 1e-9


def test_a_drifting_robot_rises_steadily(real: Record) -> None:
    dt = control_model("wmenv/Hopper-v0").dt
    for clip, other in _pairs("drift_up", real("Hopper")):
        position, velocity = _moved(clip, other)
        assert position[-1, 1] == pytest.approx(0.1) and np.ptp(velocity[:, 1]) < 1e-12
        assert position[:, 1] == pytest.approx(velocity[0, 1] * dt * np.arange(clip.frames))


def test_backwards_is_backwards(real: Record) -> None:
    for clip, other in _pairs("time_reversal", real("Hopper")):
        assert np.array_equal(other.qpos, clip.qpos[::-1]) and np.array_equal(other.qvel, -clip.qvel[::-1])
        assert clip.action is not None and np.array_equal(other.action, clip.action[::-1])


def test_double_speed_leaves_out_every_other_frame(real: Record) -> None:
    for clip, other in _pairs("double_speed", real("Humanoid")):
        tangent = Tangent(control_model(clip.task).model)
        assert other.frames == 12 and np.abs(tangent.difference(clip.qpos[::2], other.qpos)).max() < 1e-7
        assert np.allclose(other.qvel, 2 * clip.qvel[::2])
        assert clip.action is not None and np.array_equal(other.action, clip.action[:-1:2])


def test_low_pass_leaves_a_straight_line_alone_and_flattens_a_spike(real: Record) -> None:
    clip = real("Hopper")[0]
    line = np.outer(np.arange(20), np.arange(6.0))
    spike = line.copy()
    spike[10] += 7.0
    straight, flat = corrupt(
        "low_pass", [MotionClip(task=clip.task, qpos=q, qvel=np.zeros((20, 6))) for q in (line, spike)], seed=0
    )
    assert straight is not None and flat is not None
    assert np.allclose(straight.qpos[3:-3], line[3:-3]) and np.allclose(flat.qpos[7:14], line[7:14] + 1.0)


def test_a_biased_joint_is_off_by_one_number(real: Record) -> None:
    for clip, other in _pairs("joint_bias", real("Humanoid")):
        position, velocity = _moved(clip, other)
        assert np.count_nonzero(np.abs(position).max(0) > 1e-12) == 1 and not velocity.any()
        assert np.abs(position).max(1) == pytest.approx(0.2)


def test_splice_goes_on_as_another_clip(real: Record) -> None:
    clips = real("Hopper")
    for i, (clip, other) in enumerate(_pairs("splice", clips)):
        following = clips[(i + 1) % len(clips)]
        assert np.array_equal(other.qpos[:12], clip.qpos[:12]) and np.array_equal(other.qpos[12:], following.qpos[12:])
        assert other.action is not None and following.action is not None
        assert np.array_equal(other.action[12:], following.action[12:])
    assert corrupt("splice", clips[:1], seed=0) == [None]
