"""Shows what holds for every corruption: identity at 0, one result a seed, named errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from physics.clips.clip import MotionClip
from physics.corruptions import CORRUPTIONS, UNLISTED, corrupt
from physics.corruptions.core import Corruption
from physics.corruptions.limbs import leg_pairs
from physics.corruptions.structure import robot_of
from physics.errors import ClipError
from physics.mechanics.control_model import control_model

Record = Callable[..., list[MotionClip]]
EVERY = {**CORRUPTIONS, **UNLISTED}
NEED_OTHERS = {"swapped_actions", "splice"}
COARSE = {"splice", "time_reversal"}  # not graded, or by whole frames


def _same(a: MotionClip | None, b: MotionClip | None) -> bool:
    if a is None or b is None:
        return a is b
    return all(np.array_equal(x, y) for x, y in ((a.qpos, b.qpos), (a.qvel, b.qvel), (a.action, b.action)))


def test_the_names() -> None:
    assert len(CORRUPTIONS) == 18 and not CORRUPTIONS.keys() & UNLISTED.keys() and len(UNLISTED) >= 10
    for name, corruption in EVERY.items():
        assert isinstance(corruption, Corruption) and corruption.name == name and len(corruption.about) > 20


@pytest.mark.parametrize("name", EVERY)
def test_identity_seed_and_batch(real: Record, name: str) -> None:
    mixed = [*real("Hopper")[:3], *real("CupLift")[:3], *real("Walker2d")[:2]]
    assert all(map(_same, corrupt(name, mixed, seed=3, strength=0.0), mixed))
    first, again = corrupt(name, mixed, seed=3), corrupt(name, mixed, seed=3)
    assert len(first) == len(mixed) and all(map(_same, first, again))
    assert any(other is not None for other in first)
    for clip, other in zip(mixed, first, strict=True):
        assert other is None or (other.task == clip.task and other.world == clip.world)
    if name not in NEED_OTHERS:
        assert all(map(_same, first[:3], corrupt(name, mixed[:3], seed=3)))
    assert corrupt(name, [], seed=0) == []


@pytest.mark.parametrize("name", sorted(EVERY.keys() - COARSE))
def test_a_tiny_strength_is_a_tiny_change(real: Record, name: str) -> None:
    clips = [*real("Hopper")[:3], *real("CupLift")[:3]]
    for clip, other in zip(clips, corrupt(name, clips, seed=1, strength=1e-7), strict=True):
        if other is not None:
            frames = min(7, other.frames)  # later on, contacts make differences of any size of it
            assert np.abs(other.qpos[:frames] - clip.qpos[:frames]).max() < 1e-4
            assert other.action is not None and clip.action is not None
            assert np.abs(other.action[: frames - 1] - clip.action[: frames - 1]).max() < 1e-4


@pytest.mark.parametrize("name", ["teleport", "frozen_joint", "jitter", "vanishing"])
def test_another_seed_is_another_clip(real: Record, name: str) -> None:
    clips = real("CupLift")
    assert not all(map(_same, corrupt(name, clips, seed=0), corrupt(name, clips, seed=1)))


@pytest.mark.parametrize("name", EVERY)
def test_what_is_not_finite_is_left_out_and_harms_no_other(real: Record, name: str) -> None:
    clip = real("Hopper")[0]
    broken = MotionClip(task=clip.task, qpos=clip.qpos * np.nan, qvel=clip.qvel, action=clip.action)
    found = corrupt(name, [clip, broken], seed=0)
    assert found[1] is None and (name == "splice" or _same(found[0], corrupt(name, [clip], seed=0)[0]))


def test_errors_name_the_field(real: Record) -> None:
    clip = real("Hopper")[0]
    with pytest.raises(ClipError, match=r"^name: expected one of .*'gravity'.*got 'levity'"):
        corrupt("levity", [clip], seed=0)
    for bad in (-1.0, np.nan, np.inf, "1"):
        with pytest.raises(ClipError, match="^strength: expected"):
            corrupt("gravity", [clip], seed=0, strength=bad)  # type: ignore[arg-type]
    other = MotionClip(task="wmenv/Walker2d-v0", qpos=clip.qpos, qvel=clip.qvel, action=clip.action)
    with pytest.raises(ClipError, match="^qpos: expected 9 columns for wmenv/Walker2d-v0, got 6"):
        corrupt("jitter", [other], seed=0)


@pytest.mark.parametrize(
    ("task", "objects", "base", "joints"),
    [
        ("wmenv/InvertedPendulum-v0", [], None, 2),
        ("wmenv/Reacher-v0", ["target"], None, 2),
        ("wmenv/Pusher-v0", ["object", "goal"], None, 7),
        ("wmenv/Hopper-v0", [], "torso", 3),
        ("wmenv/HalfCheetah-v0", [], "torso", 6),
        ("wmenv/Humanoid-v0", [], "torso", 17),
        ("wmenv/CupLift-v0", ["cup"], None, 5),
    ],
)
def test_structure_is_found(task: str, objects: list[str], base: str | None, joints: int) -> None:
    m = control_model(task)
    robot = robot_of(m)
    assert [m.model.body(thing.body).name for thing in robot.objects] == objects
    assert (None if robot.base is None else m.model.body(robot.base.body).name) == base
    assert len(robot.joints) == joints


def test_structure_of_a_model_of_the_user_s(scene: str) -> None:
    m = control_model(scene)
    robot = robot_of(m)
    assert [m.model.body(thing.body).name for thing in robot.objects] == ["ball", "block"] and robot.base is None
    assert [joint.name for joint in robot.joints] == ["cart", "slow"] and list(robot.ground) == [0]


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["left_hip", "right_hip", "left_elbow", "right_elbow"], ((0, 1),)),
        (["left_elbow", "neck", "right_elbow"], ((0, 2),)),
        (["thigh_joint", "leg_joint", "thigh_left_joint", "leg_left_joint"], ((0, 2), (1, 3))),
        (["thigh", "thigh_left"], ((0, 1),)),
        (["bthigh", "bshin", "fthigh", "fshin"], ((0, 2), (1, 3))),
        (["l_knee", "r_knee"], ((0, 1),)),
        (["slider", "hinge", "left_alone"], ()),
    ],
)
def test_limbs_are_paired_by_name(names: list[str], pairs: tuple[tuple[int, int], ...]) -> None:
    assert leg_pairs(names) == pairs
