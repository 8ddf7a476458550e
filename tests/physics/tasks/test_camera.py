"""Shows that frames can be measured: they agree with the state to a fraction of a pixel and nothing hides the robot."""

from __future__ import annotations

import importlib.util
import multiprocessing
import subprocess
import sys
from multiprocessing.connection import Connection

import mujoco
import numpy as np
import pytest

import physics
from physics.drawing.render import shrink


def _weights(frame: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """How much of `colour` each pixel of a picture on black ground has."""
    unit = np.array(colour) / np.linalg.norm(colour)
    pixels = frame.astype(float) / 255
    along = pixels @ unit
    across = np.linalg.norm(pixels - along[..., None] * unit, axis=-1)
    return np.where(across < 0.1, along, 0.0)


def test_pole_angle_can_be_read_from_the_picture() -> None:
    """The slope of the yellow pixels' middle, row by row, is the angle: to 5 mrad, a tenth of a pixel at the tip."""
    env = physics.TaskEnv("wmenv/InvertedPendulum-v0")
    env.reset(seed=0)
    random = np.random.default_rng(0)
    for _ in range(30):
        position, angle = random.uniform(-1, 1), random.uniform(-0.2, 0.2)
        env.data.qpos[:] = position, angle
        yellow = _weights(env.camera_frame(), (1.0, 0.85, 0.1))[8:44]
        columns = (yellow * np.arange(64)).sum(1) / yellow.sum(1)
        slope = np.polyfit(np.arange(8, 44), columns, 1)[0]
        axis = np.arctan2(0.001, 0.6)  # the pole's capsule leans so much in its own body
        assert np.arctan(-slope) == pytest.approx(angle + axis, abs=5e-3)
    env.close()


def test_goal_and_fingertip_lie_where_the_state_says() -> None:
    env = physics.TaskEnv("wmenv/Reacher-v0")
    metres = 0.47 / 64
    for seed in range(20):
        _, info = env.reset(seed=seed)
        env.data.qpos[0] = info["qpos"][0] = 3.0 if info["qpos"][2] > 0 else 0.0  # the arm points away from the goal
        red = _weights(env.camera_frame(), (1.0, 0.15, 0.1))
        rows, columns = np.mgrid[:64, :64]
        x = ((red * columns).sum() / red.sum() + 0.5 - 32) * metres
        y = -((red * rows).sum() / red.sum() + 0.5 - 32) * metres
        assert (x, y) == pytest.approx(tuple(info["qpos"][2:]), abs=0.25 * metres)
    env.close()


@pytest.mark.parametrize("task", physics.task_ids())
def test_frames_show_the_state_after_the_step(task: str) -> None:
    """MuJoCo's own poses are one physics step old after a step; ours are not, and asking for a frame moves nothing."""
    env = physics.TaskEnv(task, obs="frames")
    other = physics.TaskEnv(task)
    env.reset(seed=1)
    env.action_space.seed(1)
    for _ in range(4):
        frame, _, ended, _, info = env.step(env.action_space.sample())
        if ended:
            break
    before = [getattr(env.data, name).copy() for name in ("qpos", "qvel", "xpos", "xipos", "geom_xpos", "cinert")]
    assert np.array_equal(env.camera_frame(), frame)
    after = [getattr(env.data, name) for name in ("qpos", "qvel", "xpos", "xipos", "geom_xpos", "cinert")]
    assert all(map(np.array_equal, before, after))
    other.reset(seed=1)
    other.data.qpos[:], other.data.qvel[:] = info["qpos"], info["qvel"]
    mujoco.mj_forward(other.model, other.data)
    assert np.array_equal(other.camera_frame(), frame)
    env.close()
    other.close()


@pytest.mark.parametrize("task", physics.task_ids())
def test_the_robot_is_in_the_picture_and_its_motion_shows(task: str) -> None:
    env = physics.TaskEnv(task, obs="frames")
    first, _ = env.reset(seed=0)
    env.action_space.seed(0)
    colourful = (first.max(-1).astype(int) - first.min(-1) > 60) | (first.min(-1) > 200)
    assert 0.005 < colourful.mean() < 0.5
    for _ in range(10):
        frame, _, ended, _, _ = env.step(env.action_space.sample())
        if ended:
            break
    assert (np.abs(frame.astype(int) - first) > 20).any()
    assert frame.dtype == np.uint8 and frame.shape == (64, 64, 3) and frame.flags.c_contiguous
    env.close()


@pytest.mark.parametrize("task", ["wmenv/Hopper-v0", "wmenv/HalfCheetah-v0", "wmenv/Walker2d-v0", "wmenv/Humanoid-v0"])
def test_forward_motion_shows_on_the_ground_though_the_camera_follows(task: str) -> None:
    env = physics.TaskEnv(task)
    env.reset(seed=0)
    still = env.camera_frame()
    env.data.qpos[0] += 0.1
    moved = env.camera_frame()
    assert not np.array_equal(still[52:], moved[52:])
    assert (np.abs(still[:40].astype(int) - moved[:40]).max(-1) > 40).mean() < 0.01  # the robot stays where it was
    env.data.qpos[0] += 1000.0
    assert env.camera_frame()[52:].any()
    env.close()


def test_render_and_other_sizes() -> None:
    env = physics.TaskEnv("wmenv/Hopper-v0", obs="frames", size=32, render_mode="rgb_array", render_size=200)
    frame, _ = env.reset(seed=0)
    assert frame.shape == (32, 32, 3) and env.camera_frame(48).shape == (48, 48, 3)
    picture = env.render()
    assert picture is not None and picture.shape == (200, 200, 3) and picture.dtype == np.uint8
    assert physics.TaskEnv("wmenv/Hopper-v0").render() is None
    env.close()


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_shrinking_is_the_mean(factor: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8 * factor, 8 * factor, 3), np.uint8)
    mean = picture.reshape(8, factor, 8, factor, 3).mean((1, 3))
    assert np.abs(shrink(picture, factor) - mean).max() <= (0.0, 0.5, 1.0)[factor // 2]


def test_many_environments_draw_side_by_side() -> None:
    """They share a context, and each sees its own state."""
    envs = [physics.TaskEnv("wmenv/Reacher-v0", obs="frames") for _ in range(6)]
    frames = [env.reset(seed=seed)[0] for seed, env in enumerate(envs)]
    for env in envs[::2]:
        env.close()
    for env, frame in list(zip(envs, frames, strict=True))[1::2]:
        assert np.array_equal(env.camera_frame(), frame)
        env.close()
    assert len({frame.tobytes() for frame in frames}) == 6


def _draw_in_child(envs: list[physics.TaskEnv], pipe: Connection) -> None:
    pipe.send([env.camera_frame() for env in envs])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # that it is multi-threaded is the point
def test_environments_that_have_drawn_survive_a_fork() -> None:
    envs = [physics.TaskEnv(task, obs="frames") for task in ("wmenv/Reacher-v0", "wmenv/Hopper-v0")]
    frames = [env.reset(seed=0)[0] for env in envs]
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_draw_in_child, args=(envs, theirs))
    child.start()
    assert ours.poll(60)
    assert all(map(np.array_equal, ours.recv(), frames))
    child.join(60)
    assert child.exitcode == 0
    for env, frame in zip(envs, frames, strict=True):
        assert np.array_equal(env.camera_frame(), frame)
        env.close()


def test_the_picture_leaves_the_model_alone() -> None:
    env = physics.TaskEnv("wmenv/Reacher-v0", obs="frames")
    plain = physics.TaskEnv("wmenv/Reacher-v0")
    env.reset(seed=0)
    for name in ("geom_size", "geom_rgba", "geom_type", "geom_pos", "light_active", "mat_emission"):
        assert np.array_equal(getattr(env.model, name), getattr(plain.model, name))
    env.close()


DRAW_THEN_TRITON = """
import physics
env = physics.TaskEnv("wmenv/Reacher-v0", obs="frames")
env.reset(seed=0)
import torch
torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))])
import triton
env.close()
print("lived")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_drawing_before_triton_is_imported_does_not_crash() -> None:
    """Mesa's LLVM and triton's end in a segmentation fault in this order, unless the camera imports triton first."""
    done = subprocess.run([sys.executable, "-c", DRAW_THEN_TRITON], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "lived", f"status {done.returncode}: {done.stderr}"
