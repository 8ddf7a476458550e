"""States read back: what the environment shows is what MuJoCo had, but for what the state leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from physics import ClipError, StateMotion, make_task
from physics.mechanics.control_model import control_model
from physics.mechanics.tangent import Tangent

TASKS = ("InvertedPendulum", "Reacher", "Pusher", "Hopper", "HalfCheetah", "Humanoid", "CupLift", "dmc-walker-walk")


@pytest.mark.parametrize("name", TASKS)
def test_a_state_gives_the_motion_that_it_shows(name: str):
    task = f"wmenv/{name}-v0"
    motion, env = StateMotion(task), make_task(task, obs="state")
    env.action_space.seed(0)
    assert motion.names == env.unwrapped.state_names
    env.reset(seed=1)  # where Humanoid's quaternion is longer than 1 and cut
    infos = [env.step(env.action_space.sample())[4] for _ in range(20)]
    env.close()
    state, qpos, qvel = (np.array([info[key] for info in infos]) for key in ("state", "qpos", "qvel"))
    found = motion.read(state)
    away = Tangent(control_model(task).model).difference(found.qpos, qpos)
    away -= 2 * np.pi * np.round(away / (2 * np.pi)) * motion.turns
    assert np.abs(away[:, motion.seen_qpos]).max() < 1e-5
    assert np.abs((found.qvel - qvel)[:, motion.seen_qvel]).max() < 1e-4
    assert np.ptp(found.qvel[:, ~motion.seen_qvel], axis=0).sum() == 0
    one = motion.read(state[3])
    assert np.array_equal(one.qpos, found.qpos[3]) and np.array_equal(one.qvel, found.qvel[3])


def test_what_a_hopper_does_not_tell_is_where_it_is():
    motion = StateMotion("wmenv/Hopper-v0")
    assert motion.seen_qpos.tolist() == [False, True, True, True, True, True]
    assert motion.seen_qvel.all() and not motion.turns.any()


def test_states_of_another_size_are_errors():
    with pytest.raises(ClipError, match=r"state: expected 11 numbers for wmenv/Hopper-v0, got shape \(3, 4\)"):
        StateMotion("wmenv/Hopper-v0").read(np.zeros((3, 4)))
