"""Scenes whose motion is known in closed form, as tasks: a ball, a block on a table, a pendulum with a motor."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from physics import register_task
from physics.clips.batch import ClipBatch
from physics.clips.clip import MotionClip
from physics.mechanics.control_model import control_model

GRAVITY = 9.81
DT = 0.01
_HEAD = '<mujoco><compiler angle="radian"/><option timestep="0.001" integrator="RK4"/><worldbody>'
_IDLE = '<actuator><motor joint="free" gear="0 0 0 0 0 0" ctrllimited="true" ctrlrange="-1 1"/></actuator></mujoco>'
SCENES = {
    "test/Ball-v0": _HEAD
    + '<geom type="plane" size="5 5 .1"/><body name="ball" pos="0 0 1"><joint name="free" type="free"/>'
    + '<geom type="sphere" size=".1" mass="2"/></body></worldbody>'
    + _IDLE,
    "test/Block-v0": _HEAD
    + '<geom type="plane" size="5 5 .1" friction=".5 .005 .0001"/><body name="block" pos="0 0 .05">'
    + '<joint name="free" type="free"/><geom type="box" size=".1 .1 .05" mass="1" friction=".5 .005 .0001"/></body>'
    + "</worldbody>"
    + _IDLE,
    "test/Pendulum-v0": _HEAD
    + '<body pos="0 0 2"><joint name="hinge" axis="0 1 0"/><geom type="sphere" pos="0 0 -1" size=".01" mass="1"/>'
    + '</body></worldbody><actuator><motor joint="hinge" gear="3" ctrllimited="true" ctrlrange="-1 1"/></actuator>'
    + "</mujoco>",
    "test/Muscle-v0": _HEAD
    + '<body pos="0 0 2"><joint name="hinge" axis="0 1 0"/><geom type="sphere" pos="0 0 -1" size=".01" mass="1"/>'
    + '</body></worldbody><actuator><general joint="hinge" dyntype="filter" dynprm=".1" ctrlrange="-1 1"/></actuator>'
    + "</mujoco>",
}


@cache
def scene(task: str) -> str:
    """Registers the scene once; its id."""
    path = Path(mkdtemp()) / "scene.xml"
    path.write_text(SCENES[task], encoding="utf-8")
    register_task(task, source=path, options={"frame_skip": 10})
    return task


def free_clip(task: str, position: np.ndarray, velocity: np.ndarray) -> MotionClip:
    """A clip of a free body (T, 3), (T, 3) that does not turn."""
    frames = len(position)
    upright = np.tile([1.0, 0, 0, 0], (frames, 1))
    return MotionClip(
        task=scene(task),
        qpos=np.concatenate((position, upright), 1),
        qvel=np.concatenate((velocity, np.zeros((frames, 3))), 1),
        action=np.zeros((frames - 1, 1)),
    )


def falling_ball(frames: int = 33, gravity: float = GRAVITY, height: float = 3.0) -> MotionClip:
    """A ball thrown upwards at 1 m/s, under any gravity."""
    t = np.arange(frames)[:, None] * DT
    position = np.array([0.0, 0, height]) + t * [0.3, 0, 1] - gravity * t**2 / 2 * [0, 0, 1]
    return free_clip("test/Ball-v0", position, np.broadcast_to([0.3, 0, 1.0], position.shape) - gravity * t * [0, 0, 1])


def sliding_block(frames: int = 33, deceleration: float = 0.5 * GRAVITY, speed: float = 2.0) -> MotionClip:
    """A block that slides to rest on the table, resting 0.2 mm deep in it as MuJoCo's soft contacts have it."""
    t = np.minimum(np.arange(frames) * DT, speed / deceleration if deceleration else np.inf)
    x = speed * t - deceleration * t**2 / 2
    v = speed - deceleration * t
    position = np.stack((x, np.zeros(frames), np.full(frames, 0.0498)), 1)
    return free_clip("test/Block-v0", position, np.stack((v, np.zeros(frames), np.zeros(frames)), 1))


def batch(*clips: MotionClip) -> ClipBatch:
    """The clips as a batch."""
    return ClipBatch.stack(control_model(clips[0].task), clips)
