"""How far two motions of one robot lie apart, body by body, and the score that the literature makes of it.

# T frames, N bodies that can move
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..mechanics.control_model import ControlModel
from ..mechanics.kinematics import body_states
from .reference import LARGEST

Array = NDArray[np.float64]
SIGMA_POSITION = 0.3  # m; this and the next three: BeyondMimic, arXiv 2508.08241, table of rewards
SIGMA_ORIENTATION = 0.4  # rad
SIGMA_LINEAR = 1.0  # m/s
SIGMA_ANGULAR = 3.14  # rad/s


class BodyErrors(NamedTuple):
    """Differences between two motions, (...) each, at most `LARGEST`; so much, too, where a state is no number."""

    position: Array  # m, mean over bodies
    worst: Array  # m, of the body that is farthest off
    orientation: Array  # rad, mean over bodies
    linear: Array  # m/s, mean over bodies
    angular: Array  # rad/s, mean over bodies
    score: Array  # in [0, 1], 1 is perfect


def body_errors(
    m: ControlModel, qpos: Array, qvel: Array, ref_qpos: Array, ref_qvel: Array, threads: int = 1
) -> BodyErrors:
    """Errors of states (..., nq), (..., nv) against references of the same shape; bodies that cannot move are left out.

    The score is the mean over position, orientation, linear and angular velocity of exp(-mean_b e_b^2 / sigma^2).

    Source: DeepMimic (arXiv 1804.02717), equation 6 and after; sigma and the mean over bodies of BeyondMimic.
    """
    moving = moving_bodies(m)
    if not len(moving):
        zero = np.zeros(qpos.shape[:-1])
        return BodyErrors(zero, zero, zero, zero, zero, zero + 1)
    ours = body_states(m, qpos, qvel, threads)
    theirs = body_states(m, ref_qpos, ref_qvel, threads)
    with np.errstate(all="ignore"):  # NaN and overflow are what `_bounded` is for
        position = _length(ours.xpos - theirs.xpos)[..., moving]
        orientation = _angle(ours.xquat, theirs.xquat)[..., moving]
        linear = _length(ours.linear - theirs.linear)[..., moving]
        angular = _length(ours.angular - theirs.angular)[..., moving]
    parts = [_bounded(e) for e in (position, orientation, linear, angular)]
    sigmas = (SIGMA_POSITION, SIGMA_ORIENTATION, SIGMA_LINEAR, SIGMA_ANGULAR)
    terms = [np.exp(-np.mean(e**2, axis=-1) / sigma**2) for e, sigma in zip(parts, sigmas, strict=True)]
    score = np.mean(terms, axis=0)
    position, orientation, linear, angular = (e.mean(axis=-1) for e in parts)
    return BodyErrors(position, parts[0].max(axis=-1), orientation, linear, angular, score)


def moving_bodies(m: ControlModel) -> NDArray[np.intp]:
    """Ids of the bodies that are not fixed to the world."""
    return np.flatnonzero(np.asarray(m.model.body_weldid) != 0)


def _length(difference: Array) -> Array:
    return np.sqrt((difference**2).sum(axis=-1))


def _angle(a: Array, b: Array) -> Array:
    """Angle between orientations (..., 4), rad; exact for small ones, unlike the arc cosine of a scalar product."""
    b = np.where((a * b).sum(-1, keepdims=True) < 0, -b, b)
    return 4 * np.arcsin(np.minimum(_length(a - b) / 2, 1.0))


def _bounded(error: Array) -> Array:
    return np.minimum(np.where(np.isfinite(error), error, LARGEST), LARGEST)
