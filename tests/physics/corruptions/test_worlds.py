"""Shows that a changed physics is the one that its name says: against motions known in closed form."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from physics.clips.clip import MotionClip
from physics.clips.real import record_clips
from physics.corruptions import corrupt
from physics.corruptions.worlds import resimulate
from physics.mechanics.control_model import control_model
from physics.mechanics.tangent import Tangent

STEP, SKIP, FRAMES = 0.002, 5, 25
CART, SLOW, BALL, BLOCK = 0, 1, 2, 8  # in qvel
Record = Callable[..., list[MotionClip]]


def _clip(task: str, speed: float = 0.0, pushed: float = 0.0) -> MotionClip:
    model = control_model(task).model
    qpos, qvel = np.tile(model.qpos0, (FRAMES, 1)), np.zeros((FRAMES, model.nv))
    qvel[:, BLOCK] = speed
    return MotionClip(task=task, qpos=qpos, qvel=qvel, action=np.full((FRAMES - 1, 2), pushed))


def _only(name: str, clip: MotionClip, strength: float = 1.0) -> MotionClip:
    (found,) = corrupt(name, [clip], seed=0, strength=strength)
    assert found is not None
    return found


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_gravity_of_a_falling_ball(scene: str, strength: float) -> None:
    """Semi-implicit Euler: after n steps v = -g n h and z = z0 - g h^2 n (n + 1) / 2, exactly."""
    fallen = _only("gravity", _clip(scene), strength)
    n, g = SKIP * np.arange(FRAMES), 9.81 * (1 - 0.3 * strength)
    assert fallen.qvel[:, BALL + 2] == pytest.approx(-g * n * STEP, abs=1e-9)
    assert fallen.qpos[:, 4] == pytest.approx(50 - g * STEP**2 * n * (n + 1) / 2, abs=1e-9)


def test_mass_and_gear_of_a_pushed_cart(scene: str) -> None:
    """F = 4 N on 2 kg: v = F t / m."""
    clip, time = _clip(scene, pushed=1.0), STEP * SKIP * np.arange(FRAMES)
    assert _only("mass", clip).qvel[:, CART] == pytest.approx(4 / 3 * time, abs=1e-9)
    assert _only("gear", clip).qvel[:, CART] == pytest.approx(0.6 * 2 * time, abs=1e-9)
    assert _only("gravity", clip).qvel[:, CART] == pytest.approx(2 * time, abs=1e-9)


def test_damping_of_a_pushed_cart(scene: str) -> None:
    """Speed is F / c (1 - exp(-c t / m)), with c = 3 in place of 1 N s/m; Euler's error is of the order of c h / m."""
    time = STEP * SKIP * np.arange(FRAMES)
    slowed = _only("damping", _clip(scene, pushed=1.0))
    assert slowed.qvel[:, SLOW] == pytest.approx(4 / 3 * (1 - np.exp(-1.5 * time)), abs=4e-3)
    assert slowed.qvel[:, CART] == pytest.approx(2 * time, abs=1e-9)


def test_friction_of_a_sliding_block(scene: str) -> None:
    """It loses mu g a second, with mu = 0.15 in place of 0.5; MuJoCo's soft contacts brake a little less."""
    slid = _only("friction", _clip(scene, speed=2.0))
    lost = np.polyfit(STEP * SKIP * np.arange(5, FRAMES), slid.qvel[5:, BLOCK], 1)[0]
    assert lost == pytest.approx(-0.15 * 9.81, rel=0.06)
    real = resimulate([_clip(scene, speed=2.0)], lambda model: None)[0]
    assert real is not None
    lost = np.polyfit(STEP * SKIP * np.arange(5, FRAMES), real.qvel[5:, BLOCK], 1)[0]
    assert lost == pytest.approx(-0.5 * 9.81, rel=0.06)


@pytest.mark.parametrize("task", ["InvertedPendulum", "Hopper", "Humanoid", "CupLift"])
def test_an_unchanged_model_replays_the_clip(real: Record, task: str) -> None:
    """Up to what the solver's warm start is worth, which a clip does not hold: what follows is the corruption's own."""
    clips = real(task)
    tangent = Tangent(control_model(clips[0].task).model)
    for clip, again in zip(clips, resimulate(clips, lambda model: None), strict=True):
        assert again is not None
        assert np.abs(tangent.difference(clip.qpos, again.qpos)[:6]).max() < 1e-4
        assert np.array_equal(again.qpos[0], clip.qpos[0]) and np.array_equal(again.action, clip.action)


def test_the_change_starts_from_the_clip_s_own_world() -> None:
    """A clip of a heavy world stays heavy when its gear is changed."""
    clips = record_clips("wmenv/InvertedPendulum-v0", 3, 12, seed=1, world={"mass": 2.0})
    tiny = corrupt("gear", clips, seed=0, strength=1e-9)
    for clip, again in zip(clips, tiny, strict=True):
        assert again is not None and np.abs(again.qpos - clip.qpos).max() < 1e-6 and again.world == clip.world
    nominal = MotionClip(task=clips[0].task, qpos=clips[0].qpos, qvel=clips[0].qvel, action=clips[0].action)
    other = corrupt("gear", [nominal], seed=0, strength=1e-9)[0]
    assert other is not None and np.abs(other.qpos - clips[0].qpos).max() > 1e-2


def test_shared_models_are_left_alone(real: Record) -> None:
    m = control_model("wmenv/Hopper-v0")
    before = [m.model.opt.gravity.copy(), m.model.body_mass.copy(), m.model.geom_friction.copy()]
    for name in ("gravity", "mass", "friction", "damping", "gear", "wind", "joint_spring"):
        corrupt(name, real("Hopper"), seed=0)
    assert all(map(np.array_equal, before, [m.model.opt.gravity, m.model.body_mass, m.model.geom_friction]))


def test_where_there_is_no_gravity_or_no_action_there_is_no_such_clip(real: Record) -> None:
    assert corrupt("gravity", real("Pusher"), seed=0) == [None] * 6
    silent = [clip.without_actions() for clip in real("Hopper")]
    for name in ("gravity", "mass", "friction", "damping", "gear", "stuck_actuator", "swapped_actions"):
        assert corrupt(name, silent, seed=0) == [None] * 6


def test_a_stuck_actuator_is_stuck_and_the_claim_stays(scene: str) -> None:
    for seed in range(4):
        (stuck,) = corrupt("stuck_actuator", [_clip(scene, pushed=1.0)], seed=seed)
        assert stuck is not None and stuck.action is not None and (stuck.action == 1).all()
        assert sorted(abs(stuck.qvel[-1, [CART, SLOW]]) > 0.1) == [False, True]
    (against,) = corrupt("negated_actions", [_clip(scene, pushed=1.0)], seed=0)
    assert against is not None and against.qvel[-1, CART] == pytest.approx(-2 * STEP * SKIP * (FRAMES - 1))


def test_wind_pushes_every_kilogram_alike(scene: str) -> None:
    blown = _only("wind", _clip(scene))
    time = STEP * SKIP * np.arange(FRAMES)
    assert blown.qvel[:, CART] == pytest.approx(2 * time, abs=1e-9)
    assert blown.qvel[:, BALL] == pytest.approx(2 * time, abs=1e-9)


def test_a_spring_swings_at_its_frequency(scene: str) -> None:
    """A cart 1 m from its reference comes to cos(2 pi t) m, at 1 Hz."""
    clip = _clip(scene)
    qpos = clip.qpos.copy()
    qpos[:, 0] = 1.0
    moved = MotionClip(task=scene, qpos=qpos, qvel=clip.qvel, action=clip.action)
    time = STEP * SKIP * np.arange(FRAMES)
    assert _only("joint_spring", moved).qpos[:, 0] == pytest.approx(np.cos(2 * np.pi * time), abs=0.01)


def test_a_simulation_that_diverges_gives_none(real: Record) -> None:
    clip = real("Humanoid")[0]
    wild = MotionClip(task=clip.task, qpos=clip.qpos, qvel=clip.qvel * 0 + 1e7, action=clip.action)
    assert corrupt("gravity", [wild, clip], seed=0)[0] is None
    assert mujoco.mjMAXVAL >= 1e7
