"""What touches what: depth of overlaps, height above the ground, and how fast touching points slide.

# B clips, T frames, G geoms
"""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from .control_model import ControlModel

Array = NDArray[np.float64]
NO_GROUND = 1e3  # m; the clearance where there is no ground to be near to
TOUCH = 0.002  # m; nearer than this a point counts as touching
MARGIN = 0.02  # m; nearer than this it may be touching, since states have errors


class Contacts(NamedTuple):
    """SI units."""

    penetration: Array  # (B, T) deepest overlap, m; 0 where nothing overlaps
    clearance: Array  # (B, T) lowest point above the ground, m; negative below it
    slip: Array  # (B, T) fastest sliding of a point that touches the static world, m/s
    near: NDArray[np.bool_]  # (B, T, bodies) whether a body is within `MARGIN` of touching another


def contact_state(m: ControlModel, qpos: Array, qvel: Array) -> Contacts:
    """The contacts of states (B, T, nq), (B, T, nv), all finite."""
    b, t = qpos.shape[:2]
    model = m.model.__copy__()
    model.geom_margin[:] = MARGIN  # so that MuJoCo lists pairs that do not touch yet
    data = mujoco.MjData(model)
    depth, slip = np.zeros(b * t), np.zeros(b * t)
    near = np.zeros((b * t, model.nbody), bool)
    static = model.body_weldid[model.geom_bodyid] == 0
    for i, (position, velocity) in enumerate(zip(qpos.reshape(b * t, -1), qvel.reshape(b * t, -1), strict=True)):
        data.qpos[:], data.qvel[:] = position, velocity
        mujoco.mj_fwdPosition(model, data)
        if not data.ncon:
            continue
        contact = data.contact
        distance, geoms = contact.dist, contact.geom
        depth[i] = max(0.0, -float(distance.min()))
        near[i, model.geom_bodyid[geoms[distance < MARGIN].ravel()]] = True
        grounded = (distance < TOUCH) & static[geoms].any(1)
        if grounded.any():
            mujoco.mj_comVel(model, data)
            slip[i] = _slip(model, data, contact.pos[grounded], contact.frame[grounded, :3], geoms[grounded], static)
    shape = (b, t)
    return Contacts(depth.reshape(shape), clearance(m, qpos), slip.reshape(shape), near.reshape(*shape, -1))


def clearance(m: ControlModel, qpos: Array) -> Array:
    """Height (B, T) of the lowest point of all that moves and collides above the highest ground plane, m."""
    model, (b, t) = m.model, qpos.shape[:2]
    solid = (model.geom_contype | model.geom_conaffinity) != 0
    static = model.body_weldid[model.geom_bodyid] == 0
    kinds = [mujoco.mjtGeom(kind) for kind in model.geom_type]
    planes = [g for g in range(model.ngeom) if kinds[g] == mujoco.mjtGeom.mjGEOM_PLANE and solid[g] and static[g]]
    movers = np.flatnonzero(solid & ~static)
    if not planes or not len(movers):
        return np.full((b, t), NO_GROUND)
    ground = max(float(model.geom_pos[g][2]) for g in planes)
    batch = Batch(model, b * t)
    position = batch.bind("qpos")
    centre, turn = batch.bind("geom_xpos"), batch.bind("geom_xmat")
    batch.reset(stage=mujoco.mjtStage.mjSTAGE_NONE)
    position[:] = qpos.reshape(b * t, -1)
    batch.forward(stage=mujoco.mjtStage.mjSTAGE_POS)
    height = np.array(centre)[:, movers, 2]
    up = np.array(turn).reshape(b * t, model.ngeom, 3, 3)[:, movers, 2]  # world z in each geom's axes
    extent = np.stack(
        [_half_height(kinds[g], model.geom_size[g], model.geom_aabb[g], up[:, k]) for k, g in enumerate(movers)], 1
    )
    return (height - extent).min(1).reshape(b, t) - ground


def _half_height(kind: mujoco.mjtGeom, size: Array, box: Array, up: Array) -> Array:
    """How far a geom reaches below its centre, (N,), when world z has the coordinates `up` (N, 3) in its frame."""
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        return np.full(len(up), size[0])
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return size[0] + size[1] * np.abs(up[:, 2])
    if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        return size[0] * np.hypot(up[:, 0], up[:, 1]) + size[1] * np.abs(up[:, 2])
    if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
        return np.linalg.norm(up * size, axis=1)
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return np.abs(up) @ size
    return np.abs(up) @ box[3:] - up @ box[:3]


def _slip(
    model: mujoco.MjModel, data: mujoco.MjData, at: Array, normal: Array, geoms: NDArray[np.int32], static: Array
) -> float:
    """Fastest tangential speed of the moving sides of contacts, m/s."""
    mover = np.where(static[geoms[:, 0]], geoms[:, 1], geoms[:, 0])
    body = model.geom_bodyid[mover]
    turning, moving = data.cvel[body, :3], data.cvel[body, 3:]
    speed = moving + np.cross(turning, at - data.subtree_com[model.body_rootid[body]])
    speed -= (speed * normal).sum(1, keepdims=True) * normal
    return float(np.linalg.norm(speed, axis=1).max())
