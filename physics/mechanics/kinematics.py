"""Where a robot's bodies are and how fast they move, for many states at once: forward kinematics on `mujoco.batch`.

The numbers are MuJoCo's own, bit for bit those of `mj_kinematics`, whatever stands in the other rows.

# N states
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from .control_model import ControlModel
from .forward import forward

Array = NDArray[np.float64]
CHUNK = 4096  # states a batch holds at most, so that memory stays bounded
_POSITION, _VELOCITY = mujoco.mjtStage.mjSTAGE_POS, mujoco.mjtStage.mjSTAGE_VEL
_UNUSED = (
    mujoco.mjtDisableBit.mjDSBL_CONTACT,  # a pose needs neither contacts nor forces: 2.4 times as fast without them
    mujoco.mjtDisableBit.mjDSBL_CONSTRAINT,
    mujoco.mjtDisableBit.mjDSBL_SENSOR,
)


class BodyStates(NamedTuple):
    """Pose and velocity of every body's frame, the world's first, in the world frame."""

    xpos: Array  # (..., nbody, 3) m
    xquat: Array  # (..., nbody, 4) wxyz, unit
    linear: Array  # (..., nbody, 3) m/s, of the point xpos
    angular: Array  # (..., nbody, 3) rad/s


def body_poses(m: ControlModel, qpos: Array, threads: int = 1) -> tuple[Array, Array]:
    """Forward kinematics.

    Args:
        m: The robot.
        qpos: (..., nq) m, rad, quaternions wxyz (MuJoCo normalises them). A state that is not finite gives NaN.
        threads: 0 for all cores.

    Returns:
        (..., nbody, 3) positions, m, and (..., nbody, 4) unit quaternions wxyz, world frame; body 0 is the world.

    Example:
        >>> from physics.mechanics.control_model import control_model
        >>> xpos, xquat = body_poses(control_model("wmenv/InvertedPendulum-v0"), np.array([[0.5, 0.0]]))
        >>> xpos.shape, float(xpos[0, 1, 0])
        ((1, 3, 3), 0.5)
    """
    xpos, xquat = _forward(m, np.asarray(qpos, np.float64), None, ("xpos", "xquat"), _POSITION, threads)
    return xpos, xquat


def body_centres(m: ControlModel, qpos: Array, threads: int = 0) -> Array:
    """Centres of mass (..., nbody, 3) of the bodies, m, world frame; arguments as in `body_poses`.

    Other than their frames, which may lie on the joint about which they turn, these move whenever a body does.
    """
    return _forward(m, np.asarray(qpos, np.float64), None, ("xipos",), _POSITION, threads)[0]


def body_states(m: ControlModel, qpos: Array, qvel: Array, threads: int = 1) -> BodyStates:
    """Forward kinematics with velocities.

    Args:
        m: The robot.
        qpos: (..., nq) as in `body_poses`.
        qvel: (..., nv) m/s, rad/s. A state that is not finite gives NaN.
        threads: 0 for all cores.
    """
    names = ("xpos", "xquat", "cvel", "subtree_com")
    qpos, qvel = np.asarray(qpos, np.float64), np.asarray(qvel, np.float64)
    xpos, xquat, cvel, com = _forward(m, qpos, qvel, names, _VELOCITY, threads)
    # cvel is (rotation, translation) about the centre of mass of the body's whole tree, MuJoCo's "c-frame"
    lever = xpos - com[..., m.model.body_rootid, :]
    angular = cvel[..., :3]
    return BodyStates(xpos, xquat, cvel[..., 3:] + np.cross(angular, lever), angular.copy())


def _forward(
    m: ControlModel, qpos: Array, qvel: Array | None, names: tuple[str, ...], stage: mujoco.mjtStage, threads: int
) -> list[Array]:
    lead = qpos.shape[:-1]
    rows = qpos.reshape(-1, m.model.nq)
    speeds = np.zeros((len(rows), m.model.nv)) if qvel is None else qvel.reshape(-1, m.model.nv)
    finite = np.logical_and(np.isfinite(rows).all(-1), np.isfinite(speeds).all(-1))
    rows = np.where(finite[:, None], rows, m.model.qpos0)
    speeds = np.where(finite[:, None], speeds, 0.0)
    parts = [
        forward(_bare(m), names, rows[i : i + CHUNK], speeds[i : i + CHUNK], stage=stage, threads=threads)
        for i in range(0, len(rows), CHUNK)
    ]
    found = [np.concatenate(each) for each in zip(*parts, strict=True)] if parts else _nothing(m, names)
    for array in found:
        array[~finite] = np.nan
    return [array.reshape(*lead, *array.shape[1:]) for array in found]


def _nothing(m: ControlModel, names: tuple[str, ...]) -> list[Array]:
    widths = {"xpos": 3, "xquat": 4, "cvel": 6, "subtree_com": 3, "xipos": 3}
    return [np.empty((0, m.model.nbody, widths[name])) for name in names]


@lru_cache(maxsize=64)
def _bare(m: ControlModel) -> mujoco.MjModel:
    model = m.model.__copy__()
    for flag in _UNUSED:
        model.opt.disableflags |= int(flag)
    return model
