"""What touches what in given states, how deep, and how fast the contact slides: MuJoCo's collisions, frame by frame.

Contacts cannot be bound in `mujoco.batch`, so frames go through one `MjData` and only the stages that contacts need
(positions, velocities and collisions, no forces). What can be computed for all frames at once is.

# B clips, T frames, N contact points, G geoms
"""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from .contact_model import ContactModel, contact_model
from .control_model import ControlModel
from .floor import lowest_points

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
LARGEST = 1e10  # MuJoCo takes a larger coordinate for a divergence (mjMAXVAL)
FARTHEST = 1.0  # m, the largest gap that is told apart


class ContactPoints(NamedTuple):
    """Every point in which something touches, frame by frame; a point of two moving bodies appears once."""

    clip: NDArray[np.intp]  # (N,)
    frame: NDArray[np.intp]  # (N,)
    body: NDArray[np.intp]  # (N,) a moving body
    other: NDArray[np.intp]  # (N,) the other body; 0, or one fixed to the world, where the world is touched
    position: Array  # (N, 3) m, world frame
    depth: Array  # (N,) m, > 0 inside
    on_world: Mask  # (N,) whether `other` is fixed to the world
    speed: Array  # (N,) m/s, horizontal, of the point of `body` against the point of `other`


class Contacts(NamedTuple):
    """Contact quantities per frame. All numbers are finite; where `sound` is False they are 0 and mean nothing."""

    sound: Mask  # (B, T) the frame's numbers are finite and within MuJoCo's limits
    penetration: Array  # (B, T) m, deepest contact of all kinds, >= 0
    world_penetration: Array  # (B, T) m, of the robot in what is fixed to the world
    self_penetration: Array  # (B, T) m, of the robot in itself
    object_penetration: Array  # (B, T) m, of an object in anything
    lowest: Array | None  # (B, T) m, of the robot over the floor, < 0 inside; None: no horizontal plane to fall on
    object_gap: (
        Array | None
    )  # (B, T) m, from objects to the nearest other thing, at most 1, < 0 inside; None: no objects
    touching: Mask  # (B, T, nbody) the body touches something
    on_world: Mask  # (B, T, nbody) the body touches something that is fixed to the world
    slide: Array  # (B, T, nbody) m/s, fastest horizontal speed of the body's points that touch the world
    points: ContactPoints


def contact_state(m: ControlModel, qpos: Array, qvel: Array) -> Contacts:
    """Contact quantities of states, as MuJoCo's collision detection sees them.

    Only geoms that the model lets collide count. A touch is a contact within the geoms' margin (1 mm where the model
    says so), as for MuJoCo's forces; its depth is 0 until the surfaces meet.

    Args:
        m: The robot. A body is an object if no actuator moves its kinematic tree.
        qpos: (B, T, nq) m, rad, quaternions wxyz (MuJoCo normalises them).
        qvel: (B, T, nv) m/s, rad/s.

    Returns:
        Finite numbers for any input; the same for the same input.

    Example:
        >>> from physics.mechanics.control_model import control_model
        >>> hopper = control_model("wmenv/Hopper-v0")
        >>> sunk = np.array(hopper.model.qpos0)[None, None] - np.array([0, 0.06, 0, 0, 0, 0])  # it stands 4 cm high
        >>> contacts = contact_state(hopper, sunk, np.zeros((1, 1, 6)))
        >>> contacts.penetration.round(3).item(), contacts.lowest.round(3).item()
        (0.02, -0.02)
    """
    clips, frames = qpos.shape[:2]
    cm = contact_model(m.model)
    q, v = qpos.reshape(clips * frames, -1), qvel.reshape(clips * frames, -1)
    # not (x < LARGEST) rather than x >= LARGEST, so that NaN counts
    sound = (np.abs(q) < LARGEST).all(1) & (np.abs(v) < LARGEST).all(1)
    seen = _collide(cm, q, v, sound)
    points = _points(cm, seen, frames)
    at = seen.frame

    def deepest(which: Mask) -> Array:
        out = np.zeros(len(q))
        np.maximum.at(out, at[which], points.depth[which])
        return out.reshape(clips, frames)

    robot, other_robot = cm.is_robot[points.body], cm.is_robot[points.other]
    touching, on_world, slide = (np.zeros((len(q), cm.model.nbody), kind) for kind in (bool, bool, float))
    touching[at, points.body] = True
    touching[at[~points.on_world], points.other[~points.on_world]] = True
    grounded = points.on_world
    on_world[at[grounded], points.body[grounded]] = True
    np.maximum.at(slide, (at[grounded], points.body[grounded]), points.speed[grounded])
    involved = cm.is_object[points.body] | cm.is_object[points.other]
    lowest = None
    if len(cm.floor_geoms):
        lowest = np.zeros(len(q))
        lowest[sound] = lowest_points(cm, seen.geom_pos[sound], seen.geom_mat[sound]).min(axis=1)
    shape = (clips, frames)
    return Contacts(
        sound=sound.reshape(shape),
        penetration=deepest(np.ones(len(at), bool)),
        world_penetration=deepest(robot & grounded),
        self_penetration=deepest(robot & other_robot),
        object_penetration=deepest(involved),
        lowest=None if lowest is None else lowest.reshape(shape),
        object_gap=None if seen.gap is None else seen.gap.reshape(shape),
        touching=touching.reshape(*shape, -1),
        on_world=on_world.reshape(*shape, -1),
        slide=slide.reshape(*shape, -1),
        points=points,
    )


class _Seen(NamedTuple):
    """What MuJoCo computed: contacts as a flat list, poses of the geoms that matter to the floor."""

    frame: NDArray[np.intp]  # (N,) index among all frames
    geoms: NDArray[np.intp]  # (N, 2)
    dist: Array  # (N,)
    position: Array  # (N, 3)
    cvel: Array  # (N, 2, 6) of the two geoms' bodies, rotation first, about `com`
    com: Array  # (N, 2, 3)
    geom_pos: Array  # (frames, floor geoms, 3)
    geom_mat: Array  # (frames, floor geoms, 9)
    gap: Array | None  # (frames,)


def _collide(cm: ContactModel, q: Array, v: Array, sound: Mask) -> _Seen:
    model, data = cm.model, mujoco.MjData(cm.model)
    geom_pos, geom_mat = np.zeros((len(q), len(cm.floor_geoms), 3)), np.zeros((len(q), len(cm.floor_geoms), 9))
    gap = np.zeros(len(q)) if cm.object_pairs else None
    found: list[tuple[Array, ...]] = []
    for i in np.flatnonzero(sound):
        data.qpos[:], data.qvel[:] = q[i], v[i]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)  # the collision's bounding volumes are about the centre of mass
        mujoco.mj_collision(model, data)
        geom_pos[i], geom_mat[i] = data.geom_xpos[cm.floor_geoms], data.geom_xmat[cm.floor_geoms]
        if gap is not None:
            gap[i] = min(mujoco.mj_geomDistance(model, data, a, b, FARTHEST, None) for a, b in cm.object_pairs)
        if data.ncon:
            mujoco.mj_comVel(model, data)
            contact = data.contact
            geoms, dist = contact.geom, contact.dist
            keep = (dist < contact.includemargin) & (geoms >= 0).all(1)  # within the margin, not of a flex
            geoms = geoms[keep]
            body = model.geom_bodyid[geoms]
            com = data.subtree_com[model.body_rootid[body]]
            index = np.full(len(geoms), i)
            found.append((index, geoms, dist[keep], contact.pos[keep], data.cvel[body], com))
    if not found:
        none = (np.zeros(0, int), np.zeros((0, 2), int), np.zeros(0), np.zeros((0, 3)))
        return _Seen(*none, np.zeros((0, 2, 6)), np.zeros((0, 2, 3)), geom_pos, geom_mat, gap)
    return _Seen(*(np.concatenate(column) for column in zip(*found, strict=True)), geom_pos, geom_mat, gap)


def _points(cm: ContactModel, seen: _Seen, frames: int) -> ContactPoints:
    body = cm.model.geom_bodyid[seen.geoms].astype(np.intp)
    # so that the first body moves, and an object comes after a robot
    rank = np.where(cm.is_robot, 0, np.where(cm.is_object, 1, 2))[body]
    swap = rank[:, 0] > rank[:, 1]
    body[swap] = body[swap][:, ::-1]
    lever = seen.position[:, None] - seen.com
    velocity = seen.cvel[..., 3:] + np.cross(seen.cvel[..., :3], lever)  # (N, 2, 3)
    clip, frame = np.divmod(seen.frame, frames)
    return ContactPoints(
        clip=clip,
        frame=frame,
        body=body[:, 0],
        other=body[:, 1],
        position=seen.position,
        depth=np.maximum(-seen.dist, 0.0),
        on_world=cm.is_fixed[body[:, 1]],
        speed=np.linalg.norm((velocity[:, 0] - velocity[:, 1])[:, :2], axis=1),
    )
