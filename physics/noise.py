"""Errors that a camera, an estimator or a dream leaves in states, in units of how widely real states are spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .clip import MotionClip
from .control_model import ControlModel
from .tangent import Tangent

Array = NDArray[np.float64]
LEAST_SPREAD = 1e-3  # m, rad and per second: what never moves still has errors


def state_spread(m: ControlModel, clips: Sequence[MotionClip]) -> tuple[Array, Array]:
    """Standard deviations (nv,), (nv,) of positions, around the clips' mean in the tangent space, and of velocities."""
    tangent = Tangent(m.model)
    qpos = tangent.normalised(np.concatenate([c.qpos for c in clips]))
    middle = tangent.normalised(qpos.mean(0))
    around = tangent.difference(np.broadcast_to(middle, qpos.shape), qpos)
    qvel = np.concatenate([c.qvel for c in clips])
    return np.maximum(around.std(0), LEAST_SPREAD), np.maximum(qvel.std(0), LEAST_SPREAD)


def noisy(
    m: ControlModel, clips: Sequence[MotionClip], level: float, qpos_spread: Array, qvel_spread: Array, seed: int
) -> list[MotionClip]:
    """The clips with independent Gaussian errors of `level` spreads in every state; actions are known exactly."""
    if level == 0:
        return list(clips)
    tangent, rng = Tangent(m.model), np.random.default_rng([seed, 0x6E6F6973])
    out = []
    for clip in clips:
        q, v = (rng.standard_normal((clip.frames, tangent.nv)) * level for _ in range(2))
        qpos = tangent.shift(tangent.normalised(clip.qpos), q * qpos_spread)
        out.append(replace(clip, qpos=qpos, qvel=clip.qvel + v * qvel_spread))
    return out
