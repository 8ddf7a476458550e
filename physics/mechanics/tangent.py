"""Differences of MuJoCo positions, many at once: joint by joint, and on the sphere for quaternions.

`mj_differentiatePos` does one pair a call; a verifier compares hundreds of thousands. Quaternions are wxyz, angular
differences are in the body frame, as in qvel.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Tangent:
    """Maps between positions (..., nq) and their differences (..., nv) for one model."""

    def __init__(self, model: mujoco.MjModel) -> None:
        """Reads where the model's joints lie."""
        self.nq, self.nv = int(model.nq), int(model.nv)
        plain_q, plain_v, quaternions = [], [], []
        for joint in range(model.njnt):
            kind, q, v = (
                mujoco.mjtJoint(model.jnt_type[joint]),
                int(model.jnt_qposadr[joint]),
                int(model.jnt_dofadr[joint]),
            )
            width = 3 if kind == mujoco.mjtJoint.mjJNT_FREE else 0
            if kind in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
                width = 1
            plain_q += range(q, q + width)
            plain_v += range(v, v + width)
            if kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL):
                quaternions.append((q + width, v + width))
        self._plain_q, self._plain_v = np.array(plain_q, int), np.array(plain_v, int)
        self.quaternions = tuple(quaternions)
        """(first index in qpos, first index in the difference) of each quaternion."""

    def difference(self, before: Array, after: Array) -> Array:
        """What leads from `before` to `after`, (..., nv): m, or rad; the shorter way round."""
        out = np.empty((*np.broadcast_shapes(before.shape[:-1], after.shape[:-1]), self.nv))
        out[..., self._plain_v] = after[..., self._plain_q] - before[..., self._plain_q]
        for q, v in self.quaternions:
            out[..., v : v + 3] = _log(_product(_conjugate(before[..., q : q + 4]), after[..., q : q + 4]))
        return out

    def shift(self, qpos: Array, difference: Array) -> Array:
        """`qpos` moved by `difference` (..., nv); the inverse of `difference`."""
        out = np.broadcast_to(qpos, (*np.broadcast_shapes(qpos.shape[:-1], difference.shape[:-1]), self.nq)).copy()
        out[..., self._plain_q] += difference[..., self._plain_v]
        for q, v in self.quaternions:
            out[..., q : q + 4] = _product(out[..., q : q + 4], _exp(difference[..., v : v + 3]))
        return out

    def normalised(self, qpos: Array) -> Array:
        """`qpos` with unit quaternions; one of length zero becomes the identity."""
        out = np.array(qpos, np.float64)
        for q, _ in self.quaternions:
            length = np.linalg.norm(out[..., q : q + 4], axis=-1, keepdims=True)
            out[..., q : q + 4] = np.where(length > 1e-9, out[..., q : q + 4] / np.maximum(length, 1e-9), (1, 0, 0, 0))
        return out

    def norm_error(self, qpos: Array) -> Array:
        """How far the worst quaternion is from unit length, (...); 0 where there is none."""
        out = np.zeros(qpos.shape[:-1])
        for q, _ in self.quaternions:
            out = np.maximum(out, np.abs(np.linalg.norm(qpos[..., q : q + 4], axis=-1) - 1))
        return out


def _conjugate(a: Array) -> Array:
    return a * np.array((1.0, -1.0, -1.0, -1.0))


def _product(a: Array, b: Array) -> Array:
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ),
        axis=-1,
    )


def _log(a: Array) -> Array:
    """Rotation vector (..., 3) of unit quaternions, at most pi long."""
    a = np.where(a[..., :1] < 0, -a, a)
    sine = np.linalg.norm(a[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, a[..., :1])
    return a[..., 1:] * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0)


def _exp(a: Array) -> Array:
    """Unit quaternions of rotation vectors (..., 3)."""
    angle = np.linalg.norm(a, axis=-1, keepdims=True)
    return np.concatenate((np.cos(angle / 2), a * np.sinc(angle / (2 * np.pi)) / 2), axis=-1)
