"""Identification finds the world that made the clips, says how surely, and leaves alone what they do not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physics import ClipError, MotionClip, TaskError, World, record_clips
from physics.clips.noise import add_noise, spread_of
from physics.identify import identify
from physics.worlds.data import DATA_WORLD

PENDULUM, REACHER, CHEETAH = "wmenv/InvertedPendulum-v0", "wmenv/Reacher-v0", "wmenv/HalfCheetah-v0"


def noisy(task: str, num: int, world: World = DATA_WORLD, level: float = 0.01, frames: int = 17) -> list[MotionClip]:
    clips = record_clips(task, num, frames, seed=7, world=world)
    return add_noise(clips, level, spread_of(clips), 1)


def test_all_four_are_found_where_contacts_and_springs_show_them() -> None:
    found = identify(noisy(CHEETAH, 16), CHEETAH, threads=1)
    assert found.undetermined == ()
    for name in ("mass", "friction", "damping", "gear"):
        true, value = getattr(DATA_WORLD, name), getattr(found.world, name)
        assert abs(value - true) < 0.1 * abs(true - 1), name
        assert abs(value - true) < 6 * found.std[name] + 1e-3 and found.std[name] < 0.02, name
    assert found.error_after < 0.2 * found.error_before


def test_clean_clips_give_the_world_itself() -> None:
    found = identify(record_clips(CHEETAH, 8, 17, seed=7, world=DATA_WORLD), CHEETAH, threads=1)
    for name, value in DATA_WORLD.to_dict().items():
        assert getattr(found.world, name) == pytest.approx(value, abs=1e-4)


def test_of_a_pendulum_only_ratios_are_found_and_that_is_said() -> None:
    """Without armature and springs a common scale of mass, damping and gear changes no motion, gravity or not."""
    found = identify(noisy(PENDULUM, 24), PENDULUM, threads=1)
    w = found.world
    assert set(map(frozenset, found.undetermined)) == {frozenset({"friction"}), frozenset({"mass", "damping", "gear"})}
    assert w.friction == 1.0, "nothing touches"
    assert w.mass / w.gear == pytest.approx(DATA_WORLD.mass / DATA_WORLD.gear, rel=0.03)
    assert w.damping / w.gear == pytest.approx(DATA_WORLD.damping / DATA_WORLD.gear, rel=0.05)
    assert w.mass * w.damping * w.gear == pytest.approx(1.0, rel=0.05), "the scale stays at the start"
    assert not np.isfinite([found.std[n] for n in ("mass", "friction", "damping", "gear")]).any()


def test_a_known_gear_gives_a_pendulum_its_mass() -> None:
    start = World(gear=DATA_WORLD.gear)
    found = identify(noisy(PENDULUM, 24), PENDULUM, ("mass", "damping"), start, threads=1)
    assert found.undetermined == () and found.world.gear == DATA_WORLD.gear
    assert found.world.mass == pytest.approx(DATA_WORLD.mass, rel=0.03)
    assert found.world.damping == pytest.approx(DATA_WORLD.damping, rel=0.05)


def test_what_a_reacher_does_not_show_stays_at_the_start() -> None:
    found = identify(noisy(REACHER, 24), REACHER, start=World(friction=0.6, mass=1.1), threads=1)
    assert ("friction",) in found.undetermined and ("mass",) in found.undetermined
    assert found.world.friction == 0.6 and found.world.mass == pytest.approx(1.1, rel=1e-9)
    assert found.std["friction"] == np.inf and found.std["mass"] > 0.2
    assert found.world.gear == pytest.approx(DATA_WORLD.gear, rel=0.01)
    assert found.world.damping == pytest.approx(DATA_WORLD.damping, rel=0.03)


def test_some_wrong_clips_do_not_spoil_it() -> None:
    clips = noisy(REACHER, 24)
    rng = np.random.default_rng(0)
    for index in (3, 11, 17):
        clips[index] = replace(clips[index], action=rng.permutation(np.asarray(clips[index].action)))
    broken = clips[5].qvel.copy()
    broken[8] = np.nan
    clips[5] = replace(clips[5], qvel=broken)
    found = identify(clips, REACHER, ("damping", "gear"), threads=1)
    assert found.windows == 2 * 24 - 2, "stretches with a NaN are left out"
    assert found.world.gear == pytest.approx(DATA_WORLD.gear, rel=0.02)
    assert found.world.damping == pytest.approx(DATA_WORLD.damping, rel=0.06)


def test_the_nominal_world_is_left_where_it_is() -> None:
    clips = record_clips(REACHER, 8, 17, seed=3)
    found = identify(clips, REACHER, threads=1)
    assert all(getattr(found.world, n) == pytest.approx(1.0, abs=1e-5) for n in ("mass", "friction", "damping", "gear"))


def test_the_same_clips_give_the_same_world() -> None:
    clips = noisy(PENDULUM, 6)
    one, other = (identify(clips, PENDULUM, ["damping"], threads=threads) for threads in (1, 2))
    assert one.world == other.world and one.std == other.std


def test_bad_input_is_named() -> None:
    clips = record_clips(PENDULUM, 2, 9)
    with pytest.raises(ClipError, match=r"clips\[0\]\.task: expected 'wmenv/Reacher-v0'"):
        identify(clips, REACHER)
    with pytest.raises(ClipError, match=r"clips\[1\]\.action: expected actions"):
        identify([clips[0], clips[1].without_actions()], PENDULUM)
    with pytest.raises(ClipError, match=r"at least one of 21 finite frames"):
        identify(clips, PENDULUM, steps=20)
    with pytest.raises(ClipError, match="clips: expected"):
        identify([], PENDULUM)
    for bad in ((), ("mass", "mass"), ("gravity",)):
        with pytest.raises(TaskError, match="parameters: expected"):
            identify(clips, PENDULUM, bad)
    with pytest.raises(TaskError, match="steps: expected"):
        identify(clips, PENDULUM, steps=0)
    wide = replace(clips[0], qpos=np.zeros((9, 3)))
    with pytest.raises(ClipError, match=r"clips\[0\]: expected \(nq, nv, nu\) = \(2, 2, 1\)"):
        identify([wide], PENDULUM)
