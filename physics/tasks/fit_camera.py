"""A camera for a model that nobody has chosen one for: far enough that everything fits, following what moves."""

from __future__ import annotations

import mujoco
import numpy as np

from ..drawing.camera import Camera, Ground

FIELD = 2.2  # field of view in units of the model's extent: the robot and some room around it


def fitted_camera(model: mujoco.MjModel) -> Camera:
    """A camera from the side and a little above that sees the whole model in its reference pose.

    A root that is free, or that slides along x or y without limits, is followed on those axes.
    """
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    bodies = [b for b in range(1, model.nbody)] or [0]
    low = np.min([data.xipos[b] for b in bodies], axis=0)
    high = np.max([data.xipos[b] for b in bodies], axis=0)
    centre = (low + high) / 2
    solid = [g for g in range(model.ngeom) if model.geom_type[g] != mujoco.mjtGeom.mjGEOM_PLANE]
    reach = [np.linalg.norm(data.geom_xpos[g] - centre) + model.geom_rbound[g] for g in solid] or [1.0]
    axes, body = _roaming(model)
    lookat = centre.copy()
    for axis in axes:
        lookat[axis] -= data.xpos[body, axis]
    has_plane = any(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
    width = max(FIELD * float(max(reach)), 1e-3)
    return Camera(
        lookat=(float(lookat[0]), float(lookat[1]), float(lookat[2])),
        width=width,
        elevation=-20.0,
        azimuth=90.0,
        track="".join("xyz"[axis] for axis in axes),
        track_body=model.body(body).name if axes else None,
        shading=True,
        ground=Ground(period=width / 2, depth=width) if has_plane else None,
    )


def _roaming(model: mujoco.MjModel) -> tuple[tuple[int, ...], int]:
    """Axes on which the first body may leave the picture, and that body."""
    for body in range(1, model.nbody):
        axes: set[int] = set()
        for joint in range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body]):
            if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
                axes |= {0, 1}
            if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_SLIDE and not model.jnt_limited[joint]:
                axes |= {axis for axis in (0, 1) if abs(model.jnt_axis[joint, axis]) > 0.5}
        if axes and model.body(body).name:
            return tuple(sorted(axes)), body
    return (), 0
