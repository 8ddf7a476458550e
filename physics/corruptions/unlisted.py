"""More ways to be wrong, for trying the verifier on what it was not tuned to: never calibrate or tune by these."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from .actions import partner
from .core import Generators, each, edited, moved, stands
from .states import at_speed
from .structure import Robot
from .worlds import Clips, Found, resimulate, scale_friction

Array = NDArray[np.float64]
WIND = 2.0  # m/s^2
SPRING = 1.0  # Hz
BIAS = 0.2  # rad
SLIDE_BIAS = 0.05  # m
RISE = 0.1  # m
SMOOTH = 3  # frames to either side


def wind(clips: Clips, robot: Robot, rngs: Generators, strength: float) -> Found:
    """A steady sideways force of 2 N on every kg, along the axis on which the robot can move."""
    level = robot.level()
    way = level[0] if level else np.array((1.0, 0.0, 0.0))

    def change(model: mujoco.MjModel) -> None:
        model.opt.gravity[:] += WIND * strength * way

    return resimulate(clips, change)


def sticky_floor(clips: Clips, robot: Robot, rngs: Generators, strength: float) -> Found:
    """Friction coefficients of all contacts are 4 times their size."""
    return resimulate(clips, lambda model: scale_friction(model, 1 + 3 * strength))


def joint_spring(clips: Clips, robot: Robot, rngs: Generators, strength: float) -> Found:
    """A spring pulls every joint to its reference position; alone it would swing the joint at 1 Hz."""

    def change(model: mujoco.MjModel) -> None:
        for joint in robot.joints:
            model.jnt_stiffness[joint.number] += strength * (2 * np.pi * SPRING) ** 2 * model.dof_M0[joint.qvel]

    return resimulate(clips, change)


def stuck_actuator(clips: Clips, robot: Robot, rngs: Generators, strength: float) -> Found:
    """One actuator does nothing, though the clip claims that it was used."""
    which = [int(rng.integers(robot.m.model.nu)) for rng in rngs]

    def executed(i: int, action: Array) -> Array:
        out = action.copy()
        out[:, which[i]] *= max(0.0, 1 - strength)
        return out

    return resimulate(clips, _as_it_is, executed)


def negated_actions(clips: Clips, robot: Robot, rngs: Generators, strength: float) -> Found:
    """The motion follows the opposite of the actions that the clip claims."""
    return resimulate(clips, _as_it_is, lambda i, action: (1 - 2 * min(strength, 1.0)) * action)


def splice(clips: Clips, robot: Robot, rngs: Generators, strength: float) -> Found:
    """The second half is that of another clip, actions too; a strength below 1 lets it begin later."""
    out: Found = []
    for i, clip in enumerate(clips):
        other = None if clip.action is None else partner(clips, i)
        if other is None:
            out.append(None)
            continue
        k = min(clip.frames - 1, round(clip.frames * (1 - 0.5 * min(strength, 1.0))))
        parts = ((clip.qpos, other.qpos), (clip.qvel, other.qvel), (clip.action, other.action))
        qpos, qvel, action = (np.concatenate((np.asarray(a)[:k], np.asarray(b)[k:])) for a, b in parts)
        out.append(edited(clip, qpos=qpos, qvel=qvel, action=action))
    return out


@each
def time_reversal(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """The film runs backwards: frames and actions in reverse order, velocities with the other sign; not graded."""
    action = None if clip.action is None else clip.action[::-1]
    return edited(clip, qpos=clip.qpos[::-1], qvel=-clip.qvel[::-1], action=action)


@each
def double_speed(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """The film runs at twice its speed, actions too: fewer frames, velocities twice as large."""
    speed = 1 + strength
    frames = int((clip.frames - 1) / speed) + 1
    if frames < 2:
        return None
    fast = at_speed(clip, robot, speed, frames)
    if clip.action is None:
        return fast
    return edited(fast, action=clip.action[(speed * np.arange(frames - 1)).astype(int)])


@each
def low_pass(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """Positions and velocities are their means over 7 frames, so that impacts are washed out."""
    index = np.arange(clip.frames)[:, None] + np.arange(-SMOOTH, SMOOTH + 1)
    index = np.clip(index, 0, clip.frames - 1)
    away = robot.tangent.difference(clip.qpos[:, None], clip.qpos[index]).mean(1)
    qvel = clip.qvel + strength * (clip.qvel[index].mean(1) - clip.qvel)
    return edited(clip, qpos=robot.tangent.shift(clip.qpos, strength * away), qvel=qvel)


@each
def joint_bias(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """One joint reads 0.2 rad (a slide 0.05 m) off in every frame; velocities stay."""
    if not robot.joints:
        return None
    joint, qpos = robot.joints[int(rng.integers(len(robot.joints)))], clip.qpos.copy()
    qpos[:, joint.qpos] += rng.choice((-1.0, 1.0)) * strength * (BIAS if joint.hinge else SLIDE_BIAS)
    return edited(clip, qpos=qpos)


@each
def drift_up(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """The whole robot rises steadily, by 10 cm over the clip, in its velocity too; None unless it was on the ground."""
    if not stands(clip, robot):
        return None
    rise = RISE * strength
    height = rise * np.arange(clip.frames) / (clip.frames - 1)
    return moved(clip, robot, robot.up, height, rise / ((clip.frames - 1) * robot.m.dt))


def _as_it_is(model: mujoco.MjModel) -> None:
    """Changes nothing: the actions do."""
