"""How high geoms are over a plane: each shape's support point, for all frames at once.

# F frames, G geoms
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from .contact_model import ContactModel

Array = NDArray[np.float64]
_KIND = mujoco.mjtGeom


def lowest_points(cm: ContactModel, position: Array, rotation: Array) -> Array:
    """Signed distance of each floor geom's lowest point to the floor, (F, G), m; < 0 inside.

    Args:
        cm: With a floor.
        position: (F, G, 3) m, centres of `cm.floor_geoms`, world frame.
        rotation: (F, G, 9) their rotation matrices, row by row.
    """
    data = mujoco.MjData(cm.model)
    mujoco.mj_kinematics(cm.model, data)
    normal, origin = data.geom_xmat[cm.floor].reshape(3, 3)[:, 2], data.geom_xpos[cm.floor]
    height = (position - origin) @ normal
    axes = rotation.reshape(*rotation.shape[:2], 3, 3).swapaxes(2, 3) @ normal  # (F, G, 3) normal in the geom's frame
    for column, geom in enumerate(cm.floor_geoms):
        height[:, column] -= _reach(cm.model, int(geom), axes[:, column])
    return height


def _reach(model: mujoco.MjModel, geom: int, down: Array) -> Array:
    """How far a geom reaches from its centre against the unit normal `down` (F, 3), given in its frame: (F,) m."""
    kind, size = mujoco.mjtGeom(model.geom_type[geom]), np.asarray(model.geom_size[geom])
    along = np.abs(down)
    if kind == _KIND.mjGEOM_SPHERE:
        return np.full(len(down), size[0])
    if kind == _KIND.mjGEOM_CAPSULE:
        return size[0] + size[1] * along[:, 2]
    if kind == _KIND.mjGEOM_CYLINDER:
        return size[1] * along[:, 2] + size[0] * np.hypot(down[:, 0], down[:, 1])
    if kind == _KIND.mjGEOM_BOX:
        return along @ size
    if kind == _KIND.mjGEOM_ELLIPSOID:
        return np.linalg.norm(along * size, axis=1)
    assert kind == _KIND.mjGEOM_MESH, f"a geom of type {kind!r} moves"
    first, count = model.mesh_vertadr[model.geom_dataid[geom]], model.mesh_vertnum[model.geom_dataid[geom]]
    return -(down @ np.asarray(model.mesh_vert[first : first + count], np.float64).T).min(axis=1)
