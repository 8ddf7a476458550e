"""Every signal on motions whose physics is known in closed form: silent where it holds, right where it is broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physics import signals
from physics.clips.clip import MotionClip
from physics.mechanics.control_model import control_model
from physics.mechanics.simulator import Simulator
from physics.signals.momentum import cone_distance, floats
from physics.signals.replay import window_starts
from tests.physics.small_worlds import DT, GRAVITY, batch, falling_ball, free_clip, scene, sliding_block


def noise(task: str, size: float = 1e-4) -> signals.Noise:
    nv = control_model(task).model.nv
    return signals.Noise(*(np.full(nv, size) for _ in range(2)), np.ones(nv), np.ones(nv))


def pendulum(control: float = 0.0, frames: int = 33, angle: float = 1.0) -> MotionClip:
    """What the simulator does to the pendulum under a constant control."""
    task = scene("test/Pendulum-v0")
    start, rest = np.array([[angle]]), np.zeros((1, 1))
    action = np.full((1, frames - 1, 1), control)
    out = Simulator(control_model(task), 1).rollout(start, rest, action)
    qpos, qvel = np.concatenate((start, out.qpos[0])), np.concatenate((rest, out.qvel[0]))
    return MotionClip(task=task, qpos=qpos, qvel=qvel, action=action[0])


# ---- replay


def test_free_fall_is_replayed_and_another_gravity_is_not():
    """After n steps of dt under 0.7 g the ball is 0.3 g (n dt)^2 / 2 too high and 0.3 g n dt too slow."""
    right, wrong = falling_ball(), falling_ball(gravity=0.7 * GRAVITY)
    fine, found = (signals.replay_errors(batch(clip), noise(clip.task)) for clip in (right, wrong))
    for horizon in (1, 4, 8):
        assert fine[horizon].max() < 1e-6
        time = horizon * DT
        apart = np.hypot(0.3 * GRAVITY * time**2 / 2, 0.3 * GRAVITY * time) / np.sqrt(12)
        np.testing.assert_allclose(found[horizon][0, 1:], apart, rtol=1e-4)
        assert found[horizon][0, 0] == 0


@pytest.mark.parametrize("frames", [2, 4, 6, 9, 10, 32, 33])
def test_a_leap_is_seen_by_the_windows_over_it(frames: int):
    """Wherever it is, the first and the last step included; one-step replays see it in its own frame alone."""
    clip = falling_ball(frames)
    for leap in range(1, frames):
        qpos = clip.qpos + np.where(np.arange(frames) >= leap, 1.0, 0.0)[:, None] * ([1] + [0] * 6)
        found = signals.replay_errors(batch(replace(clip, qpos=qpos)), noise(clip.task))
        assert set(found) == {1, 4, 8}
        for horizon, values in found.items():
            seen = np.flatnonzero(values[0] > 0.1)
            assert leap in seen and np.ptp(seen) < 2 * horizon
            np.testing.assert_allclose(values[0, seen], 1 / np.sqrt(12), rtol=1e-6)
        assert list(np.flatnonzero(found[1][0] > 0.1)) == [leap]


@pytest.mark.parametrize("frames", [2, 9, 20, 31, 32, 33, 64])
def test_drift_is_about_one_for_a_clip_of_any_length(frames: int):
    rng, size = np.random.default_rng(2), 0.02
    clip = falling_ball(frames)
    shaken = [replace(clip, qvel=clip.qvel + size * rng.normal(size=clip.qvel.shape)) for _ in range(30)]
    found = signals.innovation(batch(*shaken), noise(clip.task, size))
    drift = signals.drift(found, frames)
    assert (drift[:, 1:] > 0).all() and 0.1 < np.median(drift[:, 1:]) < 2, "half of the coordinates have no errors"


def test_innovations_are_about_one_for_errors_of_the_size_that_was_said():
    clip, size, rng = falling_ball(65), 0.01, np.random.default_rng(0)
    shaken = [
        replace(clip, qpos=clip.qpos + size * rng.normal(size=clip.qpos.shape) * ([1] * 3 + [0] * 4),
                qvel=clip.qvel + size * rng.normal(size=clip.qvel.shape) * ([1] * 3 + [0] * 3))
        for _ in range(20)
    ]  # fmt: skip
    assumed = noise(clip.task, size)
    found = signals.innovation(batch(*shaken), assumed)
    square = np.square(found.z[..., [0, 1, 2, 6, 7, 8]]).mean()
    assert 0.7 < square < 1.3
    loud = signals.innovation(batch(*shaken), noise(clip.task, size / 10))
    assert np.square(loud.z[..., [0, 1, 2, 6, 7, 8]]).mean() > 10


def test_a_small_error_of_gravity_hides_in_errors_but_not_in_their_mean():
    """A twentieth of g is far below the errors of a frame; all windows are off to the same side."""
    rng, size = np.random.default_rng(1), 0.02

    def shaken(gravity: float) -> MotionClip:
        clip = falling_ball(33, gravity)
        return replace(clip, qvel=clip.qvel + size * rng.normal(size=clip.qvel.shape))

    right = batch(*[shaken(GRAVITY) for _ in range(30)])
    wrong = batch(*[shaken(0.9 * GRAVITY) for _ in range(30)])
    assumed = noise(right.m.task, size)
    values = [signals.innovation(clips, assumed) for clips in (right, wrong)]
    square = [signals.innovation_square(found, 33).mean(1) for found in values]
    drift = [signals.drift(found, 33).mean(1) for found in values]
    assert np.median(drift[1]) / np.median(drift[0]) > 2 * np.median(square[1]) / np.median(square[0])
    assert (drift[1] > np.quantile(drift[0], 0.9)).mean() > 0.9


def test_a_diverged_replay_is_a_finite_surprise():
    clip = falling_ball(12)
    wild = replace(clip, qvel=np.full(clip.qvel.shape, 9e5))
    found = signals.innovation(batch(wild), noise(clip.task))
    assert np.isfinite(found.z).all()
    assert all(np.isfinite(each).all() for each in signals.replay_errors(batch(wild), noise(clip.task)).values())


@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("frames", [2, 3, 9, 10, 32, 33])
def test_windows_cover_every_step(frames: int, stride: int):
    horizon = min(8, frames - 1)
    starts = window_starts(frames, horizon, min(stride, horizon))
    covered = {start + k for start in starts for k in range(horizon)}
    assert covered == set(range(frames - 1))


# ---- momentum and contact


def test_a_falling_ball_needs_no_force_and_a_hanging_one_its_weight():
    assert signals.unexplained_force(batch(falling_ball())).max() < 1e-6
    hanging = free_clip("test/Ball-v0", np.tile([0.0, 0, 2], (20, 1)), np.zeros((20, 3)))
    np.testing.assert_allclose(signals.unexplained_force(batch(hanging)), 1, rtol=1e-6)
    np.testing.assert_allclose(signals.float_height(batch(hanging)), 1.9, rtol=1e-6)
    assert signals.float_height(batch(falling_ball())).max() == 0, "in free flight height is no fault"


def test_a_block_slides_as_its_friction_allows():
    """Coulomb: deceleration mu g is what the table gives; three times as much needs a hand."""
    fair = batch(sliding_block(deceleration=0.5 * GRAVITY))
    braked = batch(sliding_block(deceleration=1.5 * GRAVITY, frames=10))
    assert signals.unexplained_force(fair).max() < 1e-6
    np.testing.assert_allclose(signals.unexplained_force(braked).max(), (1.5 - 0.5) / np.sqrt(1.25), rtol=1e-6)
    np.testing.assert_allclose(signals.skate(fair)[0, 5], 2 - 0.5 * GRAVITY * 5 * DT, rtol=1e-6)


def test_a_block_at_rest_is_silent_and_one_below_the_table_is_as_deep_as_it_is():
    rest = free_clip("test/Block-v0", np.tile([0.0, 0, 0.0498], (20, 1)), np.zeros((20, 3)))
    assert signals.unexplained_force(batch(rest)).max() < 1e-9 and signals.skate(batch(rest)).max() < 1e-9
    np.testing.assert_allclose(signals.penetration(batch(rest)), 2e-4, atol=1e-6)
    sunk = free_clip("test/Block-v0", np.tile([0.0, 0, 0.02], (20, 1)), np.zeros((20, 3)))
    np.testing.assert_allclose(signals.penetration(batch(sunk)), 0.03, atol=1e-6)


def test_forces_outside_the_cone():
    forces = np.array([[0, 0, 1.0], [0.5, 0, 1], [0, 2, 1], [0, 0, -1], [3, 0, 0]])
    expected = [0, 0, 1.5 / np.sqrt(1.25), 1, 3 / np.sqrt(1.25)]
    np.testing.assert_allclose(cone_distance(forces, 0.5), expected)


def test_what_floats():
    assert floats(control_model("wmenv/Humanoid-v0").model) and floats(control_model("wmenv/Hopper-v0").model)
    assert not floats(control_model("wmenv/Reacher-v0").model)
    assert not floats(control_model("wmenv/InvertedPendulum-v0").model)


# ---- energy and motors


@pytest.mark.parametrize("control", [0.0, 0.5, -1.0])
def test_a_pendulum_gains_what_its_motor_does(control: float):
    clip = pendulum(control)
    gain = signals.energy_gain(batch(clip))
    assert gain.max() < 2e-3
    pushed = replace(clip, qvel=clip.qvel * np.linspace(1, 1.5, clip.frames)[:, None])
    kinetic = np.square(clip.qvel[-1, 0]) / 2
    assert signals.energy_gain(batch(pushed)).max() > 0.1 * kinetic / GRAVITY


def test_without_actions_only_more_than_the_motor_can_do_is_a_gain():
    clip = pendulum(-1.0)
    assert signals.energy_gain(batch(clip)).max() < 2e-3
    lazy = replace(clip, action=np.zeros_like(clip.action))
    assert signals.energy_gain(batch(lazy)).max() > 0.01, "it says that the motor was off"
    assert signals.energy_gain(batch(clip.without_actions())).max() < 2e-3


def test_a_joint_driven_past_its_torque():
    """With mass and length 1, and gravity in balance at the top, 6 rad/s2 take 6 Nm: twice what the motor has."""
    frames, rate = 9, 6.0
    t = np.arange(frames) * DT
    angle = np.pi + rate * np.square(t - t.mean()) / 2
    speed = rate * (t - t.mean())
    clip = MotionClip(task=scene("test/Pendulum-v0"), qpos=angle[:, None], qvel=speed[:, None])
    np.testing.assert_allclose(signals.motor_excess(batch(clip))[0].max(), 6 / 3 - 1, atol=0.02)
    assert signals.motor_excess(batch(pendulum(1.0))).max() < 0.02
    assert signals.ghost_force(batch(clip)).max() == 0, "its only joint has a motor"


# ---- tracking


def test_what_the_motor_can_do_is_followed_and_what_it_cannot_is_not():
    """Gravity takes 9.8 Nm at the side and the motor has 3: a pendulum that rests there falls away from its clip."""
    swinging = signals.tracking_error(batch(pendulum(1.0).without_actions()))
    assert swinging.shape == (1, 33) and swinging.max() < 1e-4
    t = np.arange(33) * DT
    resting = MotionClip(task=scene("test/Pendulum-v0"), qpos=np.full((33, 1), np.pi / 2), qvel=np.zeros((33, 1)))
    found = signals.tracking_error(batch(resting))[0]
    np.testing.assert_allclose(found[:12], (GRAVITY - 3) * np.square(t[:12]) / 2, rtol=0.01)
    thrown = falling_ball(20).without_actions()
    assert signals.tracking_error(batch(thrown)).max() < 1e-9
    hanging = free_clip("test/Ball-v0", np.tile([0.0, 0, 2], (20, 1)), np.zeros((20, 3)))
    np.testing.assert_allclose(signals.tracking_error(batch(hanging))[0], GRAVITY * np.square(t[:20]) / 2, rtol=1e-6)
    far = free_clip(
        "test/Ball-v0", np.tile([0.0, 0, 2], (20, 1)) + np.arange(20)[:, None] * [9, 0, 0], np.zeros((20, 3))
    )
    assert signals.tracking_error(batch(far)).max() == 10


# ---- kinematics and limits


def test_speeds_that_are_not_those_of_the_positions():
    clip = falling_ball()
    assert signals.speed_mismatch(batch(clip), np.ones(6)).max() < 1e-9
    faster = replace(clip, qvel=clip.qvel + [0, 0, 0.6, 0, 0, 0])
    np.testing.assert_allclose(signals.speed_mismatch(batch(faster), np.ones(6)), 0.6 / np.sqrt(6), rtol=1e-6)


def test_limits():
    m = control_model("wmenv/Hopper-v0")
    qpos, qvel = np.tile(m.model.qpos0, (3, 1)), np.zeros((3, m.model.nv))
    joint = m.model.joint("leg_joint")
    qpos[1, joint.qposadr[0]] = joint.range[1] + 0.25
    qvel[2, 4] = -12.0
    action = np.zeros((2, m.model.nu))
    action[1, 2] = 1.5
    clips = batch(MotionClip(task=m.task, qpos=qpos, qvel=qvel, action=action))
    np.testing.assert_allclose(signals.range_excess(clips), [[0, 0.25, 0]], atol=1e-12)
    np.testing.assert_allclose(signals.speed_excess(clips, np.full(m.model.nv, 10.0)), [[0, 0, 0.2]])
    np.testing.assert_allclose(signals.action_excess(clips), [[0, 0.5, 0]])
