"""Dense and sparse constraint Jacobians are the same physics: MuJoCo 4.0.0 fails this on large models."""

from __future__ import annotations

import mujoco
import numpy as np

MODELS = 300
TOLERANCE = 1e-6
_DENSE, _SPARSE, _AUTO = (
    mujoco.mjtJacobian.mjJAC_DENSE,
    mujoco.mjtJacobian.mjJAC_SPARSE,
    mujoco.mjtJacobian.mjJAC_AUTO,
)
_KINDS = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_BALL)


def _spec(rng: np.random.Generator, bodies: int) -> mujoco.MjSpec:
    """A random forest of bodies over a plane, with limits, friction losses, springs, equalities and contacts."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
    placed = []
    for index in range(bodies):
        root = not placed or rng.uniform() < 0.15
        parent = spec.worldbody if root else placed[rng.integers(len(placed))]
        at = [*rng.uniform(-2, 2, 2), rng.uniform(0.05, 1.0)] if root else rng.uniform(-0.3, 0.3, 3)
        body = parent.add_body(name=f"b{index}", pos=at)
        if root and rng.uniform() < 0.5:
            body.add_freejoint()
        else:
            kind = _KINDS[rng.integers(len(_KINDS))]
            joint = body.add_joint(type=kind, axis=rng.normal(size=3), damping=[rng.uniform(0, 1), 0, 0])
            joint.frictionloss = rng.choice([0.0, 0.3])
            joint.armature = rng.uniform(0, 0.1)
            if kind != mujoco.mjtJoint.mjJNT_BALL and rng.uniform() < 0.5:
                joint.limited, joint.range = mujoco.mjtLimited.mjLIMITED_TRUE, [-0.1, 0.1]
        # off the joint: a body that only turns about its middle gives contacts next to nothing to push against
        at = rng.normal(size=3)
        at *= 0.2 / np.linalg.norm(at)
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, pos=at, size=[0.05, 0.1, 0], mass=rng.uniform(0.1, 2))
        placed.append(body)
    for _ in range(bodies // 8):
        one, other = rng.choice(bodies, 2, replace=False)
        equality = spec.add_equality(type=mujoco.mjtEq.mjEQ_CONNECT, objtype=mujoco.mjtObj.mjOBJ_BODY)
        equality.name1, equality.name2 = f"b{one}", f"b{other}"
    return spec


def _acceleration(
    model: mujoco.MjModel, jacobian: mujoco.mjtJacobian, qpos: np.ndarray, qvel: np.ndarray
) -> np.ndarray:
    model.opt.jacobian = jacobian
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = qpos, qvel
    mujoco.mj_forward(model, data)
    return data.qacc.copy()


def test_dense_sparse_and_auto_jacobians_give_the_same_acceleration() -> None:
    rng = np.random.default_rng(0)
    large = constrained = 0
    for index in range(MODELS):
        model = _spec(rng, 1 + int(rng.integers(6) if index % 4 else rng.integers(36, 54))).compile()
        model.opt.tolerance, model.opt.iterations = 1e-14, 50  # converged, so that nothing else differs
        data = mujoco.MjData(model)
        velocity = rng.normal(size=model.nv)
        mujoco.mj_integratePos(model, data.qpos, rng.normal(size=model.nv), 0.2)
        dense = _acceleration(model, _DENSE, data.qpos, velocity)
        scale = max(float(np.abs(dense).max()), 1.0)
        for other in (_AUTO,) if model.nv >= 60 else (_SPARSE, _AUTO):  # MuJoCo's own choice from 60 on is sparse
            apart = np.abs(_acceleration(model, other, data.qpos, velocity) - dense).max() / scale
            assert apart <= TOLERANCE, f"model {index}, nv {model.nv}, {other!r}: {apart:.2e}"
        large += model.nv >= 60
        mujoco.mj_forward(model, data)
        constrained += data.nefc > 0
    assert large >= 50 and constrained >= MODELS * 0.8, f"{large} large, {constrained} constrained"
