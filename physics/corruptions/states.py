"""Motions of the robot that no physics made: edited positions, with velocities that agree with the edited motion.

# T frames
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from .core import each, edited, middle_frame, moved, stands
from .structure import Robot

Array = NDArray[np.float64]
HEIGHT = 0.05  # m
LEAP = 0.3  # m, of a robot that nothing holds
HINGE_LEAP = 0.5  # rad
SLIDE_LEAP = 0.1  # m for a slide, at most half its range
SKATE = 0.5  # m/s
SLOW = 0.7
SHAKE_HINGE, SHAKE_SLIDE = 0.05, 0.02  # rad, m, standard deviations


@each
def float_up(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """The whole robot is 5 cm too high in every frame; velocities stay.

    None unless it is on the ground in a quarter of the frames: a higher flight is as real as a low one.
    """
    return _raised(clip, robot, HEIGHT * strength)


@each
def sink(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """The whole robot is 5 cm too low in every frame; velocities stay. None as for `float_up`."""
    return _raised(clip, robot, -HEIGHT * strength)


@each
def teleport(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """From a frame in the middle on, the robot is elsewhere; velocities stay.

    A robot that nothing holds leaps 0.3 m over the ground. In one that is held every joint leaps: hinges 0.5 rad,
    slides 0.1 m (at most half their range), to the side where their limits leave more room.
    """
    qpos, qvel, k = clip.qpos.copy(), clip.qvel.copy(), middle_frame(clip, rng)
    level = robot.level()
    if robot.base is not None and level:
        robot.base.push(qpos[k:], qvel[k:], _heading(level, rng), LEAP * strength, 0.0)
        return edited(clip, qpos=qpos)
    if not robot.joints:
        return None
    for joint in robot.joints:
        size = HINGE_LEAP if joint.hinge else min(SLIDE_LEAP, 0.5 * (joint.high - joint.low))
        sign = rng.choice((-1.0, 1.0))
        if np.isfinite(joint.high - joint.low):
            sign = 1.0 if joint.high + joint.low > 2 * qpos[k, joint.qpos] else -1.0
        qpos[k:, joint.qpos] += sign * size * strength
    return edited(clip, qpos=qpos)


@each
def time_dilation(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """The motion runs at 0.7 times its speed under the clip's own actions; velocities are 0.7 times as large.

    As many frames as before: the motion's last three tenths are not reached.
    """
    return at_speed(clip, robot, max(0.0, 1 - (1 - SLOW) * strength))


@each
def frozen_joint(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """One joint stays where it was in the first frame, with velocity 0: one of those that move more than half do."""
    if not robot.joints:
        return None
    travel = np.array([np.abs(np.diff(clip.qpos[:, j.qpos])).sum() for j in robot.joints])
    joint = robot.joints[int(rng.choice(np.flatnonzero(travel >= np.median(travel))))]
    qpos, qvel = clip.qpos.copy(), clip.qvel.copy()
    qpos[:, joint.qpos] -= strength * (qpos[:, joint.qpos] - qpos[0, joint.qpos])
    qvel[:, joint.qvel] *= 1 - strength
    return edited(clip, qpos=qpos, qvel=qvel)


@each
def mirrored_limb(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """Left and right leg (back and front in four-legged ones) do each other's motion; None without such limbs."""
    if not robot.pairs:
        return None
    qpos, qvel = clip.qpos.copy(), clip.qvel.copy()
    for one, other in robot.pairs:
        a, b = robot.joints[one], robot.joints[other]
        for array, source, i, j in ((qpos, clip.qpos, a.qpos, b.qpos), (qvel, clip.qvel, a.qvel, b.qvel)):
            array[:, i] += strength * (source[:, j] - source[:, i])
            array[:, j] += strength * (source[:, i] - source[:, j])
    return edited(clip, qpos=qpos, qvel=qvel)


@each
def foot_skate(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """The whole robot glides over the ground with 0.5 m/s on top of its motion, in its velocities too.

    None unless it is on the ground in a quarter of the frames.
    """
    level = robot.level()
    if robot.base is None or not level or not robot.grounded(clip.qpos):
        return None
    speed = SKATE * strength
    way = speed * robot.m.dt * np.arange(clip.frames, dtype=np.float64)
    return moved(clip, robot, _heading(level, rng), way, speed)


@each
def jitter(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """Joints shake from frame to frame: Gaussian, 0.05 rad for hinges, 0.02 m for slides; velocities by differences."""
    if not robot.joints:
        return None
    qpos, qvel = clip.qpos.copy(), clip.qvel.copy()
    for joint in robot.joints:
        shake = rng.normal(0.0, strength * (SHAKE_HINGE if joint.hinge else SHAKE_SLIDE), clip.frames)
        qpos[:, joint.qpos] += shake
        qvel[:, joint.qvel] += np.gradient(shake, robot.m.dt)
    return edited(clip, qpos=qpos, qvel=qvel)


def at_speed(clip: MotionClip, robot: Robot, speed: float, frames: int | None = None) -> MotionClip:
    """The motion at another speed, as a film is played: in between frames by interpolation; the actions are kept."""
    frames = clip.frames if frames is None else frames
    when = np.minimum(speed * np.arange(frames), clip.frames - 1)
    before = np.minimum(when.astype(int), clip.frames - 2)
    part = (when - before)[:, None]
    step = robot.tangent.difference(clip.qpos[before], clip.qpos[before + 1])
    qpos = robot.tangent.shift(clip.qpos[before], part * step)
    qvel = speed * ((1 - part) * clip.qvel[before] + part * clip.qvel[before + 1])
    action = None if clip.action is None else clip.action[: frames - 1]
    return MotionClip(task=clip.task, qpos=qpos, qvel=qvel, action=action, world=clip.world)


def _raised(clip: MotionClip, robot: Robot, height: float) -> MotionClip | None:
    return moved(clip, robot, robot.up, height) if stands(clip, robot) else None


def _heading(level: list[Array], rng: np.random.Generator) -> Array:
    """A random unit direction in the plane that the axes span."""
    drawn = rng.normal(size=len(level))
    return sum((c * a for c, a in zip(drawn / np.linalg.norm(drawn), level, strict=True)), np.zeros(3))
