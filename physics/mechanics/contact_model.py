"""Which bodies of a model are the robot, which are objects and which stand still, and what it may fall on."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
_PLANE = mujoco.mjtGeom.mjGEOM_PLANE
_LEVEL = 0.999  # cosine of the largest slope of a floor, 2.5 degrees


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContactModel:
    """What `contact_state` needs to know of a model.

    Args:
        model: The MuJoCo model.
        is_fixed: (nbody,) welded to the world, the world itself included.
        is_robot: (nbody,) in a kinematic tree that an actuator moves; every moving body where there is no actuator.
        is_object: (nbody,) moving, but not the robot.
        floor: Index of the horizontal static plane, the highest one, or -1.
        floor_geoms: Geoms of the robot that may collide with the floor; empty without one.
        object_pairs: Pairs of geoms, one of an object and one of anything else that it may collide with.
    """

    model: mujoco.MjModel
    is_fixed: Mask
    is_robot: Mask
    is_object: Mask
    floor: int
    floor_geoms: NDArray[np.intp]
    object_pairs: tuple[tuple[int, int], ...]


def contact_model(model: mujoco.MjModel) -> ContactModel:
    """Reads a model once; milliseconds."""
    fixed = np.asarray(model.body_weldid) == 0
    roots = np.asarray(model.body_rootid)[_actuated_bodies(model)]
    robot = ~fixed & (np.isin(model.body_rootid, roots) if len(roots) else True)
    loose = ~fixed & ~robot
    body = np.asarray(model.geom_bodyid)
    floor = _floor(model, fixed)
    standing = [] if floor < 0 else [g for g in range(model.ngeom) if robot[body[g]] and _collide(model, g, floor)]
    pairs = [
        (a, b)
        for a in range(model.ngeom)
        if loose[body[a]]
        for b in range(model.ngeom)
        if model.body_rootid[body[a]] != model.body_rootid[body[b]] and _collide(model, a, b)
    ]
    return ContactModel(
        model=model,
        is_fixed=fixed,
        is_robot=robot,
        is_object=loose,
        floor=floor if standing else -1,
        floor_geoms=np.array(standing, np.intp),
        object_pairs=tuple(pairs),
    )


def _actuated_bodies(model: mujoco.MjModel) -> NDArray[np.intp]:
    """Bodies whose joints some actuator's moment reaches, whatever its transmission."""
    data = mujoco.MjData(model)
    mujoco.mj_fwdPosition(model, data)
    entries = int(data.moment_rownnz.sum()) if model.nu else 0
    dofs = np.asarray(data.moment_colind).ravel()[:entries]
    return np.unique(np.asarray(model.dof_bodyid)[dofs]).astype(np.intp)


def _collide(model: mujoco.MjModel, a: int, b: int) -> bool:
    """Whether the model lets two geoms touch."""
    masks = (model.geom_contype[a] & model.geom_conaffinity[b]) | (model.geom_contype[b] & model.geom_conaffinity[a])
    planes = model.geom_type[a] == _PLANE and model.geom_type[b] == _PLANE
    return bool(masks) and not planes


def _floor(model: mujoco.MjModel, fixed: Mask) -> int:
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    level = [
        g
        for g in range(model.ngeom)
        if mujoco.mjtGeom(model.geom_type[g]) == _PLANE
        and fixed[model.geom_bodyid[g]]
        and data.geom_xmat[g][8] > _LEVEL
    ]
    return max(level, key=lambda g: data.geom_xpos[g][2], default=-1)
