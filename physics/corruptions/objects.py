"""Things that go through other things, hang in the air or are gone.

# T frames
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from .core import each, edited, middle_frame
from .structure import Robot, Tree

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
Edit = Callable[[Array, Array, Array | float, Array | float], None]  # moves qpos, qvel in place: by how much, how fast
HOVER = 0.08  # m
AWAY = 3.0  # m
DEEP = 0.03  # m, or the thinner body's half-width if that is less
FARTHEST_PATH, FARTHEST_TURN = 0.4, 1.5  # m, rad: how far something is moved to make it go through another
STEPS = 20


@each
def passing_through(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """An object moves into the hand or the table and out again; without one, a limb does so with the ground.

    The excursion is a raised cosine over the clip's middle half, in the velocities too; in its middle the two overlap
    by 3 cm, or by the thinner one's half-width. None where nothing can be brought to overlap within 0.4 m or 1.5 rad.
    """
    middle = clip.frames // 2
    for ways in (list(_object_ways(clip.qpos[middle], robot)), list(_limb_ways(robot))):
        for i in rng.permutation(len(ways)):
            edit, farthest, ours, theirs = ways[i]
            size = _overlap(robot, clip.qpos[middle], edit, farthest, ours, theirs)
            if size is not None:
                qpos, qvel = clip.qpos.copy(), clip.qvel.copy()
                shape, slope = _bump(clip.frames, middle, robot.m.dt)
                edit(qpos, qvel, strength * size * shape, strength * size * slope)
                return edited(clip, qpos=qpos, qvel=qvel)
    return None


@each
def hovering(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """An object is 8 cm too high in every frame, its velocity stays; None unless it lies on something."""
    for thing in _shuffled(robot.objects, rng):
        others = np.concatenate((robot.ground, robot.body_geoms))
        if thing.reach(robot.up).any() and robot.touches(clip.qpos, thing.geoms, others):
            qpos, qvel = clip.qpos.copy(), clip.qvel.copy()
            thing.push(qpos, qvel, robot.up, HOVER * strength, 0.0)
            return edited(clip, qpos=qpos)
    return None


@each
def vanishing(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """From a frame in the middle on, an object is 3 m away from where it should be; velocities stay."""
    movable = [thing for thing in robot.objects if thing.freedoms]
    movable = [thing for thing in movable if len(thing.geoms)] or movable  # rather a puck than a painted goal
    if not movable:
        return None
    thing = movable[int(rng.integers(len(movable)))]
    way = thing.freedoms[int(rng.integers(len(thing.freedoms)))].axis
    qpos, qvel, k = clip.qpos.copy(), clip.qvel.copy(), middle_frame(clip, rng)
    thing.push(qpos[k:], qvel[k:], way, AWAY * strength, 0.0)
    return edited(clip, qpos=qpos)


def _object_ways(qpos: Array, robot: Robot) -> Iterator[tuple[Edit, float, Numbers, Numbers]]:
    """Straight ways of an object into something it can touch: towards it, and along each of its freedoms."""
    data = mujoco.MjData(robot.m.model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(robot.m.model, data)
    for thing in robot.objects:
        for geom in _touching_kinds(robot, thing.geoms, np.concatenate((robot.body_geoms, robot.ground))):
            towards = thing.reach(data.geom_xpos[geom] - data.xpos[thing.body])
            ways = [towards / np.linalg.norm(towards)] if np.linalg.norm(towards) > 1e-6 else []
            ways += [sign * f.axis for f in thing.freedoms for sign in (-1.0, 1.0)]
            for way in ways:
                yield _push(thing, way), FARTHEST_PATH, thing.geoms, np.array([geom])


def _limb_ways(robot: Robot) -> Iterator[tuple[Edit, float, Numbers, Numbers]]:
    """Turns of a joint that bring what hangs on it into the ground."""
    model = robot.m.model
    for joint in robot.joints:
        below = np.array([_hangs_on(model, int(model.geom_bodyid[g]), joint.body) for g in robot.body_geoms], bool)
        ours = robot.body_geoms[below]
        if _touching_kinds(robot, ours, robot.ground).size:
            for sign in (-1.0, 1.0):
                farthest = FARTHEST_TURN if joint.hinge else FARTHEST_PATH
                yield _turn(joint.qpos, joint.qvel, sign), farthest, ours, robot.ground


def _push(thing: Tree, way: Array) -> Edit:
    def edit(qpos: Array, qvel: Array, shift: Array | float, speed: Array | float) -> None:
        thing.push(qpos, qvel, way, shift, speed)

    return edit


def _turn(q: int, v: int, sign: float) -> Edit:
    def edit(qpos: Array, qvel: Array, shift: Array | float, speed: Array | float) -> None:
        qpos[..., q] += sign * shift
        qvel[..., v] += sign * speed

    return edit


def _overlap(robot: Robot, qpos: Array, edit: Edit, farthest: float, ours: Numbers, theirs: Numbers) -> float | None:
    """The smallest of 20 sizes of an edit that makes the two overlap deeply; None if none does."""
    thin = [min(_thinnest(robot.m.model, int(g)) for g in geoms) for geoms in (ours, theirs)]
    sizes = farthest * np.arange(1, STEPS + 1) / STEPS
    tried = np.repeat(qpos[None], STEPS, axis=0)
    edit(tried, np.zeros((STEPS, robot.m.model.nv)), sizes, 0.0)
    deep = robot.depth(tried, ours, theirs) >= min(DEEP, *thin)
    return float(sizes[int(np.argmax(deep))]) if deep.any() else None


def _thinnest(model: mujoco.MjModel, geom: int) -> float:
    """Half the least width of a geom, m; infinite for a plane."""
    kind, size = mujoco.mjtGeom(model.geom_type[geom]), model.geom_size[geom]
    if kind in (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD):
        return np.inf
    if kind in (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE):
        return float(size[0])
    return float(size[:2].min() if kind == mujoco.mjtGeom.mjGEOM_CYLINDER else size.min())


def _touching_kinds(robot: Robot, ours: Numbers, theirs: Numbers) -> Numbers:
    """Those of `theirs` that MuJoCo lets touch any of `ours`."""
    kind, touches = robot.m.model.geom_contype, robot.m.model.geom_conaffinity
    met = (kind[ours, None] & touches[None, theirs]) | (touches[ours, None] & kind[None, theirs])
    return theirs[met.any(0)]


def _hangs_on(model: mujoco.MjModel, body: int, above: int) -> bool:
    while body not in (0, above):
        body = int(model.body_parentid[body])
    return body == above


def _bump(frames: int, middle: int, dt: float) -> tuple[Array, Array]:
    """A raised cosine (T,) of height 1 around `middle`, T/2 wide, and its slope per second."""
    wide = max(2.0, frames / 2)
    phase = np.clip((np.arange(frames) - middle) / wide, -0.5, 0.5)
    return 0.5 * (1 + np.cos(2 * np.pi * phase)), -np.pi / (wide * dt) * np.sin(2 * np.pi * phase)


def _shuffled(things: tuple[Tree, ...], rng: np.random.Generator) -> list[Tree]:
    return [things[i] for i in rng.permutation(len(things))]
