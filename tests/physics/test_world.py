"""Shows that a world changes the dynamics the way its multipliers say, and that the nominal one changes nothing."""

from __future__ import annotations

import json

import mujoco
import numpy as np
import pytest

import physics
from physics import TaskError, World


def test_round_trip_through_json() -> None:
    world = World(mass=1.2, friction=0.8)
    assert World.from_dict(json.loads(json.dumps(world.to_dict()))) == world
    assert World.from_dict({}) == World() and World().nominal and not world.nominal


@pytest.mark.parametrize("name", ["mass", "friction", "damping", "gear"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0, 101.0, "1", None, True])
def test_bad_multipliers_are_named(name: str, bad: object) -> None:
    with pytest.raises(TaskError, match=rf"world\.{name}: expected a number"):
        World(**{name: bad})


def test_massless_worlds_and_unknown_names_are_refused() -> None:
    with pytest.raises(TaskError, match=r"world\.mass"):
        World(mass=0.0)
    with pytest.raises(TaskError, match="gravity"):
        World.from_dict({"gravity": 2.0})
    with pytest.raises(TaskError, match="world: expected"):
        physics.TaskEnv("wmenv/Hopper-v0", world=3)  # type: ignore[arg-type]


def _arrays(model: mujoco.MjModel) -> dict[str, np.ndarray]:
    names = [n for n in dir(model) if not n.startswith("_") and isinstance(getattr(model, n), np.ndarray)]
    return {name: getattr(model, name).copy() for name in names}


@pytest.mark.parametrize("task", ["wmenv/Humanoid-v0", "wmenv/Pusher-v0"])
def test_the_nominal_world_leaves_every_constant_bit_equal(task: str) -> None:
    plain = physics.TaskEnv(task)
    before = _arrays(plain.model)
    World().apply(plain.model)
    after = _arrays(plain.model)
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)
    with_world = physics.TaskEnv(task, world=World())
    other = _arrays(with_world.model)
    assert all(np.array_equal(before[name], other[name], equal_nan=True) for name in before)


def test_multipliers_reach_their_constants_and_what_derives_from_them() -> None:
    plain = physics.TaskEnv("wmenv/Hopper-v0").model
    changed = physics.TaskEnv("wmenv/Hopper-v0", world=World(mass=2, friction=0.5, damping=3, gear=1.5)).model
    assert np.allclose(changed.body_mass, 2 * plain.body_mass) and np.allclose(
        changed.body_inertia, 2 * plain.body_inertia
    )
    assert np.allclose(changed.geom_friction, 0.5 * plain.geom_friction)
    assert np.allclose(changed.dof_damping, 3 * plain.dof_damping)
    assert np.allclose(changed.actuator_gear, 1.5 * plain.actuator_gear)
    assert changed.body_subtreemass[0] == pytest.approx(2 * plain.body_subtreemass[0])
    assert (
        changed.dof_M0[0] == pytest.approx(2 * plain.dof_M0[0]) and changed.dof_invweight0[0] < plain.dof_invweight0[0]
    )


def _cart_speed(world: World) -> float:
    env = physics.TaskEnv("wmenv/InvertedPendulum-v0", world=world)
    env.reset(seed=0)
    info = env.step(np.array([1.0], np.float32))[4]
    return float(info["qvel"][0])


def test_a_pushed_cart_obeys_newton() -> None:
    nominal = _cart_speed(World())
    assert _cart_speed(World(mass=2)) == pytest.approx(nominal / 2, rel=0.1)
    assert _cart_speed(World(gear=2)) == pytest.approx(nominal * 2, rel=0.1)
    assert _cart_speed(World(damping=50)) < 0.8 * nominal


def _spin_down(damping: float) -> float:
    env = physics.TaskEnv("wmenv/Reacher-v0", world=World(damping=damping))
    env.reset(seed=0)
    env.data.qvel[:2] = 5.0, 0.0
    for _ in range(20):
        info = env.step(np.zeros(2, np.float32))[4]
    return abs(float(info["qvel"][0]))


def test_damping_slows_an_arm_down() -> None:
    assert _spin_down(4.0) < _spin_down(1.0) < _spin_down(0.0)


def _slide(friction: float) -> float:
    """How far a half-cheetah that was shoved forward comes in half a second without acting, m."""
    env = physics.TaskEnv("wmenv/HalfCheetah-v0", world=World(friction=friction))
    env.reset(seed=0)
    for _ in range(20):
        env.step(np.zeros(6, np.float32))
    start = float(env.data.qpos[0])
    env.data.qvel[0] += 4.0
    for _ in range(10):
        info = env.step(np.zeros(6, np.float32))[4]
    return float(info["qpos"][0]) - start


def test_less_friction_slides_further() -> None:
    assert _slide(0.1) > 1.2 * _slide(1.0)


def test_a_suite_task_takes_a_world_too() -> None:
    pytest.importorskip("dm_control")

    def speed(world: World) -> float:
        env = physics.TaskEnv("wmenv/dmc-cartpole-swingup-v0", world=world)
        env.reset(seed=0)
        for _ in range(10):
            info = env.step(np.ones(1, np.float32))[4]
        return float(info["qvel"][0])

    assert speed(World(mass=2)) == pytest.approx(speed(World()) / 2, rel=0.1)
