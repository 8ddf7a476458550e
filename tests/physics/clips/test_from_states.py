"""Clips out of what a task shows are the motions that it made, but for what its states leave out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from physics import (
    ClipError,
    DreamVerifier,
    MotionVerifier,
    StateMotion,
    calibrate,
    clips_of_states,
    identify,
    make_task,
    record_clips,
    register_task,
)
from physics.tasks import registry
from physics.verifier import dreams, shipped
from physics.worlds.judge import judge
from tests.physics.small_worlds import scene


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


@pytest.mark.parametrize("shape", [(2, 4, 2), (2, 5, 3), (1, 4, 3), (3, 4, 3), (4, 3)])
def test_actions_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ClipError, match=r"action: expected shape \(2, 4, 3\) .* got"):
        clips_of_states("wmenv/Hopper-v0", np.zeros((2, 5, 11)), np.zeros(shape))


def test_ragged_actions_are_refused() -> None:
    with pytest.raises(ClipError, match="action: expected an array of numbers"):
        clips_of_states("wmenv/Hopper-v0", np.zeros((2, 5, 11)), [np.zeros((4, 3)), np.zeros((3, 3))])


def test_an_id_that_is_registered_anew_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is all else that is kept by id: the judge, the calibration and what a verifier of steps goes by."""
    monkeypatch.setattr(registry, "_specs", dict(registry._specs))
    monkeypatch.setattr(shipped, "CLIPS", 30)
    monkeypatch.setattr(shipped, "FRAMES", 4)
    path, found = tmp_path / "arm.xml", []
    for joints in (1, 2):
        limb = "".join(
            f'<body pos="0 0 .2"><joint name="j{k}" axis="0 1 0"/><geom size=".1"/></body>' for k in range(joints)
        )
        path.write_text(
            f'<mujoco><worldbody>{limb}</worldbody><actuator><motor joint="j0" ctrlrange="-1 1"/></actuator></mujoco>'
        )
        register_task("me/Anew-v0", source=path)
        width = len(StateMotion("me/Anew-v0").names)
        found.append(clips_of_states("me/Anew-v0", np.zeros((1, 5, width)))[0].qpos.shape[1])
        assert judge("me/Anew-v0").model.nv == joints
        assert len(shipped.known_calibration("me/Anew-v0", 0.02).qpos_error) == joints
        assert dreams._units("me/Anew-v0", 0.02).shape == (2 * joints,)
    assert found == [1, 2]


def test_motors_with_a_state_of_their_own_are_refused_wherever_something_is_replayed() -> None:
    """No clip holds that state: a replay would begin with every motor at rest and end elsewhere without a word."""
    task = scene("test/Muscle-v0")
    clips = record_clips(task, 30, 4)
    for replays in (
        lambda: MotionVerifier(task),
        lambda: calibrate(clips),
        lambda: DreamVerifier(task),
        lambda: identify(clips, task, ["mass"], threads=1),
        lambda: clips_of_states(task, np.zeros((1, 3, 3))),
    ):
        with pytest.raises(ClipError, match="task: expected motors without a state of their own, got test/Muscle-v0"):
            replays()
