"""Shows that things really go through each other, hang in the air without support, or are gone."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from physics.clips.clip import MotionClip
from physics.corruptions import corrupt
from physics.corruptions.structure import robot_of
from physics.mechanics.control_model import control_model
from physics.mechanics.tangent import Tangent

Record = Callable[..., list[MotionClip]]


def _deepest(clip: MotionClip, body: str | None = None) -> np.ndarray:
    """Deepest contact of each frame, m, of one body or of any; by MuJoCo's own collision detection."""
    model = control_model(clip.task).model
    data, out = mujoco.MjData(model), []
    for qpos in clip.qpos:
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        found = [
            c.dist
            for c in data.contact
            if body is None or body in {model.body(model.geom_bodyid[g]).name for g in c.geom}
        ]
        out.append(-min(found, default=0.0))
    return np.array(out)


@pytest.mark.parametrize(
    ("task", "body", "deep"),
    [("CupLift", "cup", 0.008), ("Hopper", None, 0.03), ("HalfCheetah", None, 0.03), ("Humanoid", None, 0.03)],
)
def test_what_passes_through_really_penetrates(real: Record, task: str, body: str | None, deep: float) -> None:
    clips = real(task)
    found = corrupt("passing_through", clips, seed=0)
    assert sum(other is not None for other in found) >= 4
    for clip, other in zip(clips, found, strict=True):
        if other is not None:
            middle = clip.frames // 2
            assert _deepest(other, body)[middle] > max(deep, _deepest(clip, body)[middle] + 0.5 * deep)
            position = Tangent(control_model(clip.task).model).difference(clip.qpos, other.qpos)
            assert np.abs(position[[0, 1, -2, -1]]).max() < 1e-9  # it begins and ends where it did
            rate = np.gradient(position, control_model(clip.task).dt, axis=0)[1:-1]
            assert np.abs(other.qvel - clip.qvel)[1:-1] == pytest.approx(np.abs(rate), abs=0.15 * np.abs(rate).max())


def test_a_puck_goes_through_the_hand_or_a_hand_through_the_table(real: Record) -> None:
    clips = real("Pusher")
    deep = [_deepest(other).max() for other in corrupt("passing_through", clips, seed=0) if other is not None]
    assert len(deep) >= 3 and min(deep) > 0.015 > max(_deepest(clip).max() for clip in clips) - 0.015


def test_where_nothing_can_touch_nothing_passes_through(real: Record) -> None:
    for task in ("InvertedPendulum", "Reacher"):
        assert corrupt("passing_through", real(task), seed=0) == [None] * 6


def test_a_cup_hovers_8_cm_above_the_table_with_nothing_below_it(real: Record) -> None:
    clips = [clip for clip in real("CupLift") if abs(clip.qpos[:, 7] - 0.448).max() < 1e-3]
    found = corrupt("hovering", clips, seed=0)
    assert len(clips) > 2
    for clip, other in zip(clips, found, strict=True):
        assert other is not None
        position = Tangent(control_model(clip.task).model).difference(clip.qpos, other.qpos)
        expected = np.zeros_like(position)
        expected[:, 7] = 0.08
        assert np.abs(position - expected).max() < 1e-12 and np.array_equal(other.qvel, clip.qvel)


def test_a_cup_in_free_fall_does_not_hover(real: Record) -> None:
    clip = real("CupLift")[0]
    qpos = clip.qpos.copy()
    qpos[:, 7] = 3.0
    falling = MotionClip(task=clip.task, qpos=qpos, qvel=clip.qvel, action=clip.action)
    assert corrupt("hovering", [falling], seed=0) == [None]
    for task in ("Pusher", "Reacher", "Hopper"):  # a puck on rails has no height
        assert corrupt("hovering", real(task), seed=0) == [None] * 6


@pytest.mark.parametrize(("task", "number"), [("CupLift", 7), ("Pusher", 2), ("Reacher", 2)])
def test_an_object_is_gone_from_the_middle_on(real: Record, task: str, number: int) -> None:
    m = control_model(f"wmenv/{task}-v0")
    robot = {joint.qvel for joint in robot_of(m).joints}
    for clip, other in zip(real(task), corrupt("vanishing", real(task), seed=0), strict=True):
        assert other is not None and np.array_equal(other.qvel, clip.qvel)
        position = Tangent(m.model).difference(clip.qpos, other.qpos)
        first = int(np.argmax(np.abs(position).max(1) > 1e-9))
        assert 8 <= first < 16 and np.abs(position[first:]).max(1) == pytest.approx(3.0)
        assert not set(np.flatnonzero(np.abs(position).max(0) > 1e-9)) & robot
    assert number and corrupt("vanishing", real("Hopper"), seed=0) == [None] * 6


def test_the_puck_vanishes_rather_than_the_painted_goal(real: Record) -> None:
    for seed in range(5):
        for clip, other in zip(real("Pusher"), corrupt("vanishing", real("Pusher"), seed=seed), strict=True):
            assert other is not None and np.array_equal(other.qpos[:, 9:], clip.qpos[:, 9:])
