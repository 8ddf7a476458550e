"""Shows that wrong claims change the actions alone, and how."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from physics.clips.clip import MotionClip
from physics.corruptions import corrupt

Record = Callable[..., list[MotionClip]]


def _claims(name: str, clips: list[MotionClip], strength: float = 1.0) -> list[np.ndarray]:
    out = []
    for clip, other in zip(clips, corrupt(name, clips, seed=0, strength=strength), strict=True):
        assert other is not None and other.action is not None
        assert np.array_equal(other.qpos, clip.qpos) and np.array_equal(other.qvel, clip.qvel)
        out.append(other.action)
    return out


def test_swapped_actions_are_the_next_clip_s(real: Record) -> None:
    clips = real("Walker2d")
    own = [np.asarray(clip.action) for clip in clips]
    for i, claimed in enumerate(_claims("swapped_actions", clips)):
        assert np.allclose(claimed, own[(i + 1) % len(clips)], atol=1e-12)
    half = _claims("swapped_actions", clips, strength=0.5)[0]
    assert np.allclose(half, (own[0] + own[1]) / 2)


def test_a_clip_alone_claims_its_own_actions_in_another_order(real: Record) -> None:
    clip = real("Walker2d")[0]
    claimed, own = _claims("swapped_actions", [clip])[0], np.asarray(clip.action)
    assert not np.allclose(claimed, own) and np.allclose(np.sort(claimed, axis=0), np.sort(own, axis=0))


def test_clips_of_other_lengths_are_no_partners(real: Record) -> None:
    long, short = real("Walker2d"), real("Walker2d", frames=10)
    claimed = _claims("swapped_actions", [long[0], short[0], long[1]])
    assert [len(a) for a in claimed] == [23, 9, 23] and np.allclose(claimed[0], np.asarray(long[1].action))


def test_delayed_actions_are_two_steps_late(real: Record) -> None:
    for clip, late in zip(real("Humanoid"), _claims("delayed_actions", real("Humanoid")), strict=True):
        own = np.asarray(clip.action)
        assert np.allclose(late[2:], own[:-2]) and np.allclose(late[:2], own[0])
    once = _claims("delayed_actions", real("Humanoid"), strength=0.5)[0]
    assert np.allclose(once[1:], np.asarray(real("Humanoid")[0].action)[:-1])
