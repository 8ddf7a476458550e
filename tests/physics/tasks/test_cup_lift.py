"""Shows that the cup can be taken and lifted, that the reward says so, and that nothing shakes, sinks or slips."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np
import pytest

import physics
from physics.tasks.cup_lift import CLOSED, HAND, LIFTED, STANDING, reward, reward_parts

TASK = "wmenv/CupLift-v0"
QPOS = np.array([0.0, 0.0, STANDING - HAND[2], 0.0, 0.0, 0.0, 0.0, STANDING, 1.0, 0.0, 0.0, 0.0])


@pytest.fixture
def env() -> Iterator[physics.TaskEnv]:
    env = physics.TaskEnv(TASK)
    yield env
    env.close()


class Picker:
    """Goes above the cup, down around it, closes, and goes up: forces by a spring on the joint's own damper."""

    def __init__(self) -> None:
        self.phase, self.held = "over", 0

    def act(self, qpos: np.ndarray) -> np.ndarray:
        cup = (qpos[5:8] - np.array(HAND))[[1, 0, 2]]
        goal = np.array((cup[0], cup[1], max(-0.02, qpos[2])))
        beside = np.linalg.norm(cup[:2] - qpos[:2]) < 0.006
        if self.phase == "over" and (beside or qpos[2] < -0.11):
            self.phase = "down"
        if self.phase == "down" and beside and abs(cup[2] - qpos[2]) < 0.01:
            self.phase = "close"
        if self.phase == "close" and self.held > 12:
            self.phase = "up"
        if self.phase == "down":
            goal[2] = cup[2]
        elif self.phase in ("close", "up"):
            self.held += 1
            goal = np.array((qpos[0], qpos[1], cup[2] if self.phase == "close" else 0.05))
        grip = 1.0 if self.phase in ("close", "up") else -1.0
        return np.clip(np.append(10.0 * (goal - qpos[:3]), (grip, grip)), -1, 1).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_a_scripted_hand_lifts_the_cup_and_is_paid_for_it(env: physics.TaskEnv, seed: int) -> None:
    _, info = env.reset(seed=seed)
    picker, rewards, heights = Picker(), [], []
    for _ in range(150):
        _, gain, terminated, _, info = env.step(picker.act(info["qpos"]))
        assert not terminated and 0 <= gain <= 1
        rewards.append(gain)
        heights.append(info["qpos"][7] - STANDING)
    assert heights[-1] > LIFTED and min(heights) > -2e-3
    assert rewards[-1] > 0.95 > 0.35 > rewards[0]
    on_table = np.array(heights) < 0.002
    assert np.array(rewards)[on_table].max() < 0.45 < np.array(rewards)[np.array(heights) > 0.05].min()
    late = np.array([env.data.contact[i].dist for i in range(env.data.ncon)])
    assert late.min() > -2e-3  # held, not squeezed into the pads
    assert abs(env.data.qvel[5:]).max() < 0.05 and info["qpos"][8] ** 2 + info["qpos"][11] ** 2 > 0.99  # upright


def test_an_open_hand_lifts_nothing(env: physics.TaskEnv) -> None:
    env.reset(seed=2)
    for _ in range(60):
        _, gain, _, _, info = env.step(np.array((0, 0, 1, -1, -1), np.float32))
    assert abs(info["qpos"][7] - STANDING) < 1e-3 and gain < 0.15 and info["lift"] == 0


def test_a_cup_at_rest_stays_at_rest_and_weighs_what_it_weighs(env: physics.TaskEnv) -> None:
    env.reset(seed=0)
    env.data.qpos[:], env.data.qvel[:] = QPOS, 0.0
    env.data.qpos[2] = 0.0
    for _ in range(100):
        env.step(np.zeros(5, np.float32))
    before = env.data.qpos.copy()
    for _ in range(100):
        env.step(np.zeros(5, np.float32))
    assert np.abs(env.data.qpos - before).max() < 1e-6 and np.abs(env.data.qvel).max() < 1e-6
    force = np.zeros(6)
    total = 0.0
    for i in range(env.data.ncon):
        mujoco.mj_contactForce(env.model, env.data, i, force)
        total += force[0]
    assert total == pytest.approx(0.14 * 9.81, rel=1e-3)
    assert abs(env.data.qpos[:5] - QPOS[:5] - (0, 0, HAND[2] - STANDING, 0, 0)).max() < 1e-9  # the hand is balanced


def test_speed_of_the_hand_is_force_over_damping(env: physics.TaskEnv) -> None:
    env.reset(seed=1)
    env.data.qpos[:], env.data.qvel[:] = QPOS, 0.0
    env.data.qpos[:3] = -0.13, -0.17, 0.0
    for _ in range(20):
        info = env.step(np.array((1, 1, 0, 0, 0), np.float32))[4]
    assert info["qvel"][:3] == pytest.approx((0.5, 0.5, 0.0), abs=0.01)


def test_the_episode_ends_when_the_cup_falls_off(env: physics.TaskEnv) -> None:
    env.reset(seed=0)
    env.data.qpos[5] = 0.4  # beside the table
    terminated, time = False, 0.0
    while not terminated and time < 1:
        _, gain, terminated, _, info = env.step(np.zeros(5, np.float32))
        time += 0.02
    assert terminated and info["lift"] == 0 and gain < 0.1
    assert time == pytest.approx(np.sqrt(2 * 0.1 / 9.81), abs=0.03)  # free fall of 10 cm
    limit = physics.make_task(TASK)
    assert limit.spec is not None and limit.spec.max_episode_steps == 150
    limit.close()


def test_reward_is_bounded_dense_and_closed_form() -> None:
    assert reward_parts(QPOS) == {"reach": 1.0, "grasp": 0.0, "lift": 0.0}
    taken = QPOS.copy()
    taken[3:5] = CLOSED
    assert reward(taken) == pytest.approx(0.4)
    raised = taken.copy()
    raised[[2, 7]] += 0.05
    assert reward_parts(raised)["lift"] == pytest.approx(0.5) and reward(raised) == pytest.approx(0.7)
    thrown = taken.copy()
    thrown[7] += 0.2
    assert reward_parts(thrown)["lift"] == 0  # a cup in the air counts only between the pads
    away = np.array([reward(QPOS + np.eye(12)[1] * x) for x in np.linspace(0.05, 0.18, 20)])
    assert (np.diff(away) < 0).all()  # dense: every centimetre nearer is worth something
    random = np.random.default_rng(0)
    drawn = [reward(QPOS + random.normal(0, 0.2, 12)) for _ in range(500)]
    assert min(drawn) >= 0 and max(drawn) <= 1


def test_starts_differ_and_none_begins_in_contact_with_the_hand(env: physics.TaskEnv) -> None:
    starts = []
    for seed in range(40):
        _, info = env.reset(seed=seed)
        starts.append(info["qpos"])
        touched = {env.model.body(env.model.geom_bodyid[g]).name for c in env.data.contact for g in c.geom}
        assert not touched & {"hand", "left_finger", "right_finger"}
    near = np.array([reward_parts(q)["reach"] > 0.7 for q in starts])
    assert 0.25 < near.mean() < 0.75 and np.std(starts, axis=0)[[0, 1, 2, 5, 6]].min() > 0.01


def test_the_camera_sees_cup_hand_and_table(env: physics.TaskEnv) -> None:
    """Each is taken out of the picture in turn; a cup that moves 1 cm changes pixels."""
    env.reset(seed=2)
    frame = env.camera_frame().astype(int)
    env.data.qpos[5] += 0.01
    assert (np.abs(env.camera_frame() - frame) > 40).any()
    env.data.qpos[5:8] = (9.0, 9.0, 9.0)
    without_cup = (np.abs(env.camera_frame() - frame) > 40).any(-1)
    assert 40 < without_cup.sum() < 600
    env.data.qpos[1] = 9.0
    without_hand = (np.abs(env.camera_frame() - frame) > 40).any(-1) & ~without_cup
    assert 40 < without_hand.sum() < 1500
    brown = (frame[..., 0] > frame[..., 2] + 15) & (frame.max(-1) < 140)
    assert brown.sum() > 600


def test_height_and_depth_of_the_hand_can_be_told_apart(env: physics.TaskEnv) -> None:
    """Without perspective a hand that comes nearer looks like one that sinks; the beam shows which it was."""
    env.reset(seed=0)
    env.data.qpos[:] = QPOS
    env.data.qpos[2] = 0.0
    frame = env.camera_frame().astype(int)
    elevation = np.radians(25)
    env.data.qpos[0] = 0.06
    env.data.qpos[2] = -0.06 * np.tan(elevation)
    changed = (np.abs(env.camera_frame() - frame) > 40).any(-1)
    assert changed[:16].sum() > 50 and changed[16:32].sum() < changed[:16].sum()
