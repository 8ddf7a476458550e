"""The simulator's promises: a row's numbers are its own, a world per row is that world's model, divergence is data."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from physics.clips.real import record_clips
from physics.mechanics.control_model import control_model
from physics.mechanics.simulator import Simulator
from physics.world import World

TASKS = tuple(
    f"wmenv/{name}-v0"
    for name in ("InvertedPendulum", "Reacher", "Pusher", "Hopper", "HalfCheetah", "Walker2d", "Humanoid")
)
WORLDS = (
    World(),
    World(mass=1.3),
    World(friction=0.4),
    World(damping=1.7),
    World(gear=0.8),
    World(mass=0.7, friction=1.6, damping=0.5, gear=1.2),
)


def _starts(task: str, rows: int, frames: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    clips = record_clips(task, rows, frames, seed=3)
    return (
        np.stack([c.qpos[0] for c in clips]),
        np.stack([c.qvel[0] for c in clips]),
        np.stack([np.asarray(c.action) for c in clips]),
    )


@pytest.mark.parametrize("task", TASKS)
def test_a_world_per_row_is_that_worlds_model_bit_for_bit(task: str) -> None:
    nominal, rows = control_model(task), len(WORLDS)
    models = []
    for world in WORLDS:
        model = nominal.model.__copy__()
        world.apply(model)
        models.append(replace(nominal, model=model))
    start = _starts(task, rows)
    expanded = Simulator(nominal, rows, 1, worlds=WORLDS).rollout(*start)
    applied = Simulator(models, rows, 1).rollout(*start)
    for name in expanded._fields:
        assert np.array_equal(getattr(expanded, name), getattr(applied, name)), name
    plain = Simulator(nominal, rows, 1).rollout(*start)
    assert np.array_equal(plain.qpos[0], expanded.qpos[0]), "a nominal row is the nominal model"
    assert not np.array_equal(plain.qvel[1], expanded.qvel[1]), "mass shows everywhere"


def test_a_row_does_not_depend_on_its_neighbours_or_on_threads() -> None:
    m = control_model("wmenv/Hopper-v0")
    qpos, qvel, action = _starts("wmenv/Hopper-v0", 6)
    together = Simulator(m, 6, 2, worlds=WORLDS).rollout(qpos, qvel, action)
    for row in (0, 5):
        one = slice(row, row + 1)
        alone = Simulator(m, 1, 1, worlds=WORLDS[one]).rollout(qpos[one], qvel[one], action[one])
        assert np.array_equal(alone.qpos[0], together.qpos[row])


def test_the_batch_is_a_loop_of_mj_step() -> None:
    m = control_model("wmenv/HalfCheetah-v0")
    qpos, qvel, action = _starts("wmenv/HalfCheetah-v0", 2)
    out = Simulator(m, 2, 1).rollout(qpos, qvel, action)
    for row in range(2):
        data = mujoco.MjData(m.model)
        data.qpos[:], data.qvel[:] = qpos[row], qvel[row]
        for t in range(action.shape[1]):
            data.ctrl[:] = np.clip(action[row, t], m.low, m.high)
            mujoco.mj_step(m.model, data, m.frame_skip)
            assert np.array_equal(data.qpos, out.qpos[row, t]) and np.array_equal(data.qvel, out.qvel[row, t])


def test_actions_saturate_and_a_second_rollout_begins_anew() -> None:
    m = control_model("wmenv/InvertedPendulum-v0")
    simulator, rest = Simulator(m, 1, 1), np.zeros((1, 2))
    strong = simulator.rollout(rest, rest, np.full((1, 4, 1), 1e6))
    most = simulator.rollout(rest, rest, np.full((1, 4, 1), float(m.high[0])))
    assert np.array_equal(strong.qpos, most.qpos)


def test_a_divergence_is_flagged_from_its_step_on_and_stays_in_its_row() -> None:
    m = control_model("wmenv/Hopper-v0")
    qpos, qvel, action = _starts("wmenv/Hopper-v0", 2)
    wild = qvel.copy()
    wild[0] = 1e9
    out = Simulator(m, 2, 1).rollout(qpos, wild, action)
    assert out.diverged[0].any() and (np.diff(out.diverged[0].astype(int)) >= 0).all()
    assert np.isfinite(out.qpos).all() and np.isfinite(out.qvel).all()
    assert not out.diverged[1].any()
    assert np.array_equal(out.qpos[1], Simulator(m, 2, 1).rollout(qpos, qvel, action).qpos[1])


@pytest.mark.parametrize("task", TASKS)
def test_a_robot_of_one_tree_moves_alike_without_islands(task: str) -> None:
    m, island = control_model(task), int(mujoco.mjtDisableBit.mjDSBL_ISLAND)
    assert bool(m.model.opt.disableflags & island) == (m.model.ntree == 1)
    model = m.model.__copy__()
    model.opt.disableflags &= ~island
    start = _starts(task, 8, 24)
    with_islands, without = (Simulator(each, 8).rollout(*start) for each in (replace(m, model=model), m))
    assert np.array_equal(with_islands.qpos, without.qpos) and np.array_equal(with_islands.qvel, without.qvel)
