"""What a robot is made of, read off its model: what is driven, what floats, what lies about, what left and right are.

Works on any model, the user's own too, so that no corruption knows a task by name.

# T frames
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..mechanics.control_model import ControlModel
from ..mechanics.tangent import Tangent
from .limbs import leg_pairs

Array = NDArray[np.float64]
TOUCH = 2e-3  # m; nearer than this counts as contact
SCALAR = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Freedom:
    """One way in which a whole tree of bodies can be moved without turning: a number in qpos and one in qvel."""

    qpos: int
    qvel: int
    axis: Array  # (3,) unit, world frame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """Bodies that hang together below the world.

    Args:
        body: The topmost one.
        freedoms: How the whole can be moved: along x, y, z for a free joint, along each slide otherwise.
        geoms: (n,) those that can touch something.
    """

    body: int
    freedoms: tuple[Freedom, ...]
    geoms: NDArray[np.int64]

    def reach(self, direction: Array) -> Array:
        """The part of a direction (3,) along which the tree can be moved."""
        return sum((float(f.axis @ direction) * f.axis for f in self.freedoms), np.zeros(3))

    def push(self, qpos: Array, qvel: Array, direction: Array, shift: Array | float, speed: Array | float) -> None:
        """Moves frames in place: by `shift` (T,) m along `direction`, with `speed` (T,) m/s added."""
        for f in self.freedoms:
            along = float(f.axis @ direction)
            qpos[..., f.qpos] += along * shift
            qvel[..., f.qvel] += along * speed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Joint:
    """A hinge or slide of the robot's own, that is not what its whole body floats on."""

    name: str
    number: int
    body: int
    qpos: int
    qvel: int
    hinge: bool
    low: float  # rad or m, -inf where it has no limit
    high: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Robot:
    """What corruptions need to know of a task.

    Args:
        m: The control model in the nominal world.
        tangent: Differences of its positions.
        up: (3,) against gravity; z where there is none.
        base: The robot as a whole where nothing holds it to the world, else None.
        joints: Its hinges and slides.
        objects: Trees without any actuator: cups, pucks, goals.
        ground: Geoms that are fixed to the world and can be touched.
        pairs: Left and right joints of the same name, legs only if there are any; index pairs into `joints`.
    """

    m: ControlModel
    tangent: Tangent
    up: Array
    base: Tree | None
    body_geoms: NDArray[np.int64]
    joints: tuple[Joint, ...]
    objects: tuple[Tree, ...]
    ground: NDArray[np.int64]
    pairs: tuple[tuple[int, int], ...]

    def depth(self, qpos: Array, ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> Array:
        """How deep geoms `ours` are in `theirs` in each frame (T, nq), m; -inf where nothing is near."""
        data = mujoco.MjData(self.m.model)
        out = np.full(len(qpos), -np.inf)
        for t, q in enumerate(qpos):
            data.qpos[:] = q
            mujoco.mj_fwdPosition(self.m.model, data)
            pair, dist = data.contact.geom, data.contact.dist
            hit = np.isin(pair[:, 0], ours) & np.isin(pair[:, 1], theirs)
            hit |= np.isin(pair[:, 1], ours) & np.isin(pair[:, 0], theirs)
            if hit.any():
                out[t] = -float(dist[hit].min())
        return out

    def touches(self, qpos: Array, ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> bool:
        """Whether `ours` are in contact with `theirs` in at least a quarter of the frames."""
        return float((self.depth(qpos, ours, theirs) > -TOUCH).mean()) >= 0.25

    def grounded(self, qpos: Array) -> bool:
        """Whether the robot floats on nothing but the ground, and is on it in at least a quarter of the frames."""
        return self.base is not None and self.touches(qpos, self.body_geoms, self.ground)

    def level(self) -> list[Array]:
        """Orthogonal horizontal directions along which the base can be moved."""
        axes = [] if self.base is None else [f.axis for f in self.base.freedoms]
        return [a for a in axes if abs(float(a @ self.up)) < 1e-6]


@lru_cache(maxsize=64)
def robot_of(m: ControlModel) -> Robot:
    """The structure of a control model."""
    model = m.model
    driven = {int(model.body_rootid[b]) for b in _driven_bodies(model)}
    trees = {int(model.body_rootid[model.jnt_bodyid[j]]) for j in range(model.njnt)}
    owned = {j for j in range(model.njnt) if _drives(model, j)}
    floating = [b for b in sorted(driven) if _free_joints(model, b, owned)]
    base = _tree(model, floating[0], owned) if floating else None
    held = {j for b in floating for j in _free_joints(model, b, owned)}
    joints = tuple(
        _joint(model, j)
        for j in range(model.njnt)
        if int(model.body_rootid[model.jnt_bodyid[j]]) in driven
        and j not in held
        and mujoco.mjtJoint(model.jnt_type[j]) in SCALAR
    )
    gravity = np.array(model.opt.gravity)
    size = float(np.linalg.norm(gravity))
    return Robot(
        m=m,
        tangent=Tangent(model),
        up=-gravity / size if size > 0 else np.array((0.0, 0.0, 1.0)),
        base=base,
        body_geoms=_touchable(model, np.isin(model.body_rootid, list(driven))),
        joints=joints,
        objects=tuple(_tree(model, b, set()) for b in sorted(trees - driven)),
        ground=_touchable(model, np.asarray(model.body_weldid) == 0),
        pairs=leg_pairs([joint.name for joint in joints]),
    )


def _driven_bodies(model: mujoco.MjModel) -> set[int]:
    found: set[int] = set()
    for a in range(model.nu):
        kind, target = mujoco.mjtTrn(model.actuator_trntype[a]), int(model.actuator_trnid[a, 0])
        if kind in (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
            found.add(int(model.jnt_bodyid[target]))
        elif kind == mujoco.mjtTrn.mjTRN_BODY:
            found.add(target)
        elif kind == mujoco.mjtTrn.mjTRN_TENDON:
            found |= _tendon_bodies(model, target)
        else:
            found.add(int(model.site_bodyid[target]))
    return found


def _tendon_bodies(model: mujoco.MjModel, tendon: int) -> set[int]:
    found = set()
    for w in range(model.tendon_adr[tendon], model.tendon_adr[tendon] + model.tendon_num[tendon]):
        kind, target = mujoco.mjtWrap(model.wrap_type[w]), int(model.wrap_objid[w])
        if kind == mujoco.mjtWrap.mjWRAP_JOINT:
            found.add(int(model.jnt_bodyid[target]))
        elif kind == mujoco.mjtWrap.mjWRAP_SITE:
            found.add(int(model.site_bodyid[target]))
    return found - {0}


def _drives(model: mujoco.MjModel, joint: int) -> bool:
    of_joints = (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT)
    return any(
        mujoco.mjtTrn(model.actuator_trntype[a]) in of_joints and model.actuator_trnid[a, 0] == joint
        for a in range(model.nu)
    )


def _free_joints(model: mujoco.MjModel, root: int, owned: set[int]) -> list[int]:
    """The joints by which nothing but the ground holds a driven tree: those of its root, if no actuator moves them."""
    first = int(model.body_jntadr[root])
    joints = list(range(first, first + int(model.body_jntnum[root])))
    moves = any(mujoco.mjtJoint(model.jnt_type[j]) != mujoco.mjtJoint.mjJNT_HINGE for j in joints)
    return joints if moves and not owned & set(joints) else []


def _tree(model: mujoco.MjModel, root: int, owned: set[int]) -> Tree:
    freedoms: list[Freedom] = []
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, model.body_quat[root])
    first = int(model.body_jntadr[root])
    for j in range(first, first + int(model.body_jntnum[root])):
        kind, q, v = mujoco.mjtJoint(model.jnt_type[j]), int(model.jnt_qposadr[j]), int(model.jnt_dofadr[j])
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            freedoms += [Freedom(qpos=q + k, qvel=v + k, axis=np.eye(3)[k]) for k in range(3)]
        elif kind == mujoco.mjtJoint.mjJNT_SLIDE and j not in owned:
            freedoms.append(Freedom(qpos=q, qvel=v, axis=turn.reshape(3, 3) @ model.jnt_axis[j]))
    geoms = _touchable(model, np.asarray(model.body_rootid) == root)
    return Tree(body=root, freedoms=tuple(freedoms), geoms=geoms)


def _joint(model: mujoco.MjModel, j: int) -> Joint:
    low, high = model.jnt_range[j] if model.jnt_limited[j] else (-np.inf, np.inf)
    return Joint(
        name=model.joint(j).name,
        number=j,
        body=int(model.jnt_bodyid[j]),
        qpos=int(model.jnt_qposadr[j]),
        qvel=int(model.jnt_dofadr[j]),
        hinge=mujoco.mjtJoint(model.jnt_type[j]) == mujoco.mjtJoint.mjJNT_HINGE,
        low=float(low),
        high=float(high),
    )


def _touchable(model: mujoco.MjModel, bodies: NDArray[np.bool_]) -> NDArray[np.int64]:
    touch = (np.asarray(model.geom_contype) != 0) | (np.asarray(model.geom_conaffinity) != 0)
    return np.flatnonzero(bodies[model.geom_bodyid] & touch)
