"""The parts of a tracker against closed forms: body errors, least squares in a box, levers, features, practice."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from physics.clips.real import record_clips
from physics.mechanics.control_model import ControlModel, control_model
from physics.tracker import ComputedTorque, Features, Practice, body_errors
from physics.tracker.computed_torque import levers
from physics.tracker.least_squares import box_least_squares
from physics.tracker.reference import LARGEST, reference_of

FREE = """<mujoco><worldbody>
  <geom type="plane" size="1 1 1"/>
  <body name="fixed"><geom size=".1"/></body>
  <body name="cube"><freejoint/><geom type="box" size=".1 .1 .1"/></body>
</worldbody></mujoco>"""


def free_body() -> ControlModel:
    model = mujoco.MjModel.from_xml_string(FREE)
    return ControlModel(task="free", model=model, frame_skip=1, low=np.zeros(0), high=np.zeros(0))


def test_pose_errors_of_a_free_body():
    m, rest = free_body(), np.zeros((1, 6))
    angle = np.array([0.0, 1e-6, 0.3, 3.0])
    here = np.zeros((4, 7))
    here[:, 3] = 1
    there = here.copy()
    there[:, :3] = [3.0, 4.0, 0.0]
    there[:, 3], there[:, 6] = np.cos(angle / 2), np.sin(angle / 2)
    there[3, 3:] *= -1  # the same orientation
    errors = body_errors(m, here, np.repeat(rest, 4, 0), there, np.repeat(rest, 4, 0))
    np.testing.assert_allclose(errors.position, 5.0, rtol=1e-12)  # the fixed body is not averaged in
    np.testing.assert_allclose(errors.orientation, angle, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(errors.linear, 0)


def test_velocity_errors_and_score_of_a_free_body():
    m = free_body()
    pose = np.array([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
    still, moving = np.zeros((1, 6)), np.array([[0.0, 0.6, 0.8, 0.0, 3.0, 4.0]])
    errors = body_errors(m, pose, moving, pose, still)
    np.testing.assert_allclose([errors.linear[0], errors.angular[0]], [1.0, 5.0])
    expected = (1 + 1 + np.exp(-1.0) + np.exp(-((5 / 3.14) ** 2))) / 4
    np.testing.assert_allclose(errors.score, expected)
    assert body_errors(m, pose, moving, pose, moving).score[0] == 1.0


def test_errors_of_what_is_no_number_are_the_largest():
    m, pose = free_body(), np.array([[0.0, 0, 1, 1, 0, 0, 0], [np.nan, 0, 1, 1, 0, 0, 0]])
    errors = body_errors(m, pose, np.zeros((2, 6)), pose, np.zeros((2, 6)))
    assert errors.position.tolist() == [0.0, LARGEST] and errors.score.tolist() == [1.0, 0.0]


def test_least_squares_without_a_bound_in_reach_is_the_normal_equation():
    rng = np.random.default_rng(0)
    jacobian, wanted = rng.normal(size=(5, 7, 3)), rng.normal(size=(5, 7))
    low, high = np.full(3, -50.0), np.full(3, 50.0)
    x = box_least_squares(jacobian, wanted, np.zeros((5, 3)), low, high, 0.0)
    for row in range(5):
        np.testing.assert_allclose(x[row], np.linalg.lstsq(jacobian[row], wanted[row])[0], atol=1e-4)


def test_least_squares_in_a_box_fulfils_its_conditions():
    rng = np.random.default_rng(1)
    jacobian, wanted = rng.normal(size=(40, 8, 4)), 3 * rng.normal(size=(40, 8))
    x = box_least_squares(jacobian, wanted, np.zeros((40, 4)), np.full(4, -0.5), np.full(4, 0.5), 1e-9)
    slope = np.einsum("bru,br->bu", jacobian, np.einsum("bru,bu->br", jacobian, x) - wanted)
    assert np.abs(x).max() <= 0.5 and (np.abs(x) == 0.5).any()
    assert (slope[x == 0.5] <= 1e-3).all() and (slope[x == -0.5] >= -1e-3).all()
    np.testing.assert_allclose(slope[np.abs(x) < 0.5], 0, atol=1e-3)


def test_a_motor_that_moves_nothing_stays_where_it_is():
    jacobian = np.array([[[1.0, 0.0], [0.0, 0.0]]])
    x = box_least_squares(jacobian, np.array([[0.2, 9.0]]), np.array([[0.0, 0.7]]), -np.ones(2), np.ones(2), 1e-6)
    np.testing.assert_allclose(x, [[0.2, 0.7]], atol=1e-5)


def test_levers_are_lengths_of_the_arm():
    lever = levers(control_model("wmenv/InvertedPendulum-v0").model)
    assert lever[0] == pytest.approx(1.0)
    assert lever[1] == pytest.approx(0.3, abs=0.01)  # half of the pole's 0.6 m


def test_features_do_not_depend_on_how_far_the_robot_has_come():
    m = control_model("wmenv/Hopper-v0")
    clip = record_clips(m.task, 1, 8, seed=0)[0]
    features = Features(m)
    seen = []
    for shift in (0.0, 7.0):
        qpos = clip.qpos.copy()
        qpos[:, 0] += shift
        reference = reference_of(m, qpos[None], clip.qvel[None])
        seen.append(features(qpos[:1], clip.qvel[:1], reference.ahead(0, features.horizon)))
    assert seen[0].shape == (1, features.size)
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-12)


def test_frames_beyond_the_end_repeat_the_last_and_are_not_valid():
    m = control_model("wmenv/Hopper-v0")
    clip = record_clips(m.task, 1, 5, seed=0)[0]
    assert clip.action is not None
    ahead = reference_of(m, clip.qpos[None], clip.qvel[None], clip.action[None]).ahead(2, 4)
    assert ahead.valid.tolist() == [[True, True, False, False]]
    assert np.array_equal(ahead.qpos[0], clip.qpos[[3, 4, 4, 4]])
    assert ahead.action is not None and np.array_equal(ahead.action[0, :2], clip.action[[2, 3]])


def test_practice_pays_for_following_and_ends_where_the_clip_ends():
    clips = record_clips("wmenv/Reacher-v0", 4, 12, seed=0)
    middle = (control_model("wmenv/Reacher-v0").low + control_model("wmenv/Reacher-v0").high) / 2
    rewards = {}
    for base in (ComputedTorque(), None):
        practice = Practice(clips, 8, base=base, seed=1)
        assert practice.reset(seed=2).shape == (8, practice.features.size)
        steps = [practice.step(np.tile(middle, (8, 1))) for _ in range(12)]
        rewards[base is None] = np.mean([step.reward for step in steps])
        assert sum(step.ended.sum() for step in steps) >= 8 and not any(step.failed.any() for step in steps)
    assert rewards[False] > 0.98 > rewards[True] + 0.05


def test_practice_ends_a_row_that_has_lost_its_clip_and_goes_on():
    m = control_model("wmenv/InvertedPendulum-v0")
    practice = Practice(record_clips(m.task, 2, 60, seed=0), 6, base=None, seed=0)
    practice.reset()
    steps = [practice.step(np.tile(m.high, (6, 1))) for _ in range(40)]
    failed = np.stack([step.failed for step in steps])
    assert failed.any()
    assert all((step.reward[step.failed] == 0).all() for step in steps)
    assert all(np.isfinite(step.features).all() and np.isfinite(step.final).all() for step in steps)
