"""Clips out of what a task shows are the motions that it made, but for what its states leave out."""

from __future__ import annotations

import numpy as np
import pytest

from physics import ClipError, MotionVerifier, clips_of_states, make_task
from physics.verifier import shipped


def recorded(task: str, steps: int = 24) -> tuple[np.ndarray, ...]:
    env = make_task(task, obs="state")
    env.action_space.seed(1)
    _, info = env.reset(seed=1)
    infos, actions = [info], []
    for _ in range(steps):
        actions.append(env.action_space.sample())
        infos.append(env.step(actions[-1])[-1])
    env.close()
    return *(np.stack([i[name] for i in infos]) for name in ("state", "qpos", "qvel")), np.stack(actions)


@pytest.mark.parametrize("task", shipped.TASKS)
def test_they_are_the_motions_that_were_made(task: str) -> None:
    state, qpos, qvel, action = recorded(task)
    (clip,) = clips_of_states(task, state[None], action[None])
    np.testing.assert_allclose(clip.qvel, qvel, atol=1e-5)
    moved, was = clip.qpos - clip.qpos[0], qpos - qpos[0]
    np.testing.assert_allclose(moved, was, atol=0.03)  # what is left out comes from velocities
    assert np.median(np.abs(moved - was)) < 1e-6


def test_angles_go_on_through_whole_turns() -> None:
    angle = np.linspace(0, 9, 40)
    names = make_task("wmenv/Reacher-v0", obs="state").unwrapped.state_names
    assert [name.split(" ")[0] for name in names[:4]] == ["cos:joint0", "sin:joint0", "cos:joint1", "sin:joint1"]
    state = np.zeros((1, 40, len(names)))
    state[0, :, 0], state[0, :, 1], state[0, :, 2] = np.cos(angle), np.sin(angle), 1
    np.testing.assert_allclose(clips_of_states("wmenv/Reacher-v0", state)[0].qpos[:, 0], angle, atol=1e-9)


def test_numbers_that_are_not_finite_reach_the_report() -> None:
    state, _, _, action = recorded("wmenv/Hopper-v0")
    state[7, 3] = np.nan
    report = MotionVerifier("wmenv/Hopper-v0").verify(clips_of_states("wmenv/Hopper-v0", state[None], action[None]))[0]
    assert report.diverged_at == 7


@pytest.mark.parametrize("shape", [(3, 5, 4), (5, 11)])
def test_states_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ClipError, match="state"):
        clips_of_states("wmenv/Hopper-v0", np.zeros(shape))
