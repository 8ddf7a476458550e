"""Clips of one robot and one length side by side, with what several signals need of them computed once.

# B clips, T frames
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from ..mechanics.bodies import BodyMotion, body_motion
from ..mechanics.contacts import Contacts, contact_state
from ..mechanics.control_model import ControlModel
from ..mechanics.tangent import Tangent
from ..tracker import ComputedTorque, Tracks, track_states
from .clip import MotionClip
from .required import Required, required_forces

Array = NDArray[np.float64]
NEAR = 0.02  # m; what is nearer than this may be touching
NO_GROUND = 1e3  # m
LARGEST = 1e6  # m, rad and per second: beyond it a state means nothing, and MuJoCo gives up at 1e10


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipBatch:
    """B clips of T frames. Frames from the first unsound one on repeat the last sound one, so that nothing overflows.

    Args:
        m: The robot in the nominal world.
        qpos: (B, T, nq) with unit quaternions, finite.
        qvel: (B, T, nv) finite.
        action: (B, T - 1, nu) finite, or None.
        unsound: (B,) the first frame that is not finite or absurdly large; T where all are sound.
        norm_error: (B, T) how far the worst quaternion was from unit length.
    """

    m: ControlModel
    qpos: Array
    qvel: Array
    action: Array | None
    unsound: NDArray[np.int64]
    norm_error: Array

    @classmethod
    def stack(cls, m: ControlModel, clips: Sequence[MotionClip]) -> ClipBatch:
        """Lays clips of one length, all with actions or all without, beside each other.

        Raises:
            ClipError: A clip is of another robot.
        """
        for clip in clips:
            check_robot(m, clip)
        qpos, qvel = np.stack([c.qpos for c in clips]), np.stack([c.qvel for c in clips])
        action = None if clips[0].action is None else np.stack([np.asarray(c.action) for c in clips])
        sound = _bounded(qpos) & _bounded(qvel)
        if action is not None:
            sound[:, :-1] &= _bounded(action)
            action = np.where(np.isfinite(action), np.clip(action, -LARGEST, LARGEST), 0.0)
        frames = qpos.shape[1]
        unsound = np.where(sound.all(1), frames, np.argmin(sound, axis=1))
        last = np.minimum(np.arange(frames), np.maximum(unsound - 1, 0)[:, None])[..., None]
        tangent = Tangent(m.model)
        rest = np.asarray(m.model.qpos0, np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            norm_error = np.where(sound, np.nan_to_num(tangent.norm_error(qpos), nan=0.0, posinf=LARGEST), 0.0)
        begun = (unsound > 0)[:, None, None]
        qpos = np.where(begun, np.take_along_axis(qpos, last, axis=1), rest)
        qvel = np.where(begun, np.take_along_axis(qvel, last, axis=1), 0.0)
        return cls(m=m, qpos=tangent.normalised(qpos), qvel=qvel, action=action, unsound=unsound, norm_error=norm_error)

    @property
    def shape(self) -> tuple[int, int]:
        """(B, T)."""
        return self.qpos.shape[0], self.qpos.shape[1]

    @cached_property
    def tangent(self) -> Tangent:
        """Differences of this robot's positions."""
        return Tangent(self.m.model)

    @cached_property
    def bodies(self) -> BodyMotion:
        """Momentum and energy of every frame."""
        return body_motion(self.m, self.qpos, self.qvel)

    @cached_property
    def contacts(self) -> Contacts:
        """Depths, heights and touches of every frame; what is nearer than `NEAR` counts as touching."""
        return contact_state(_with_margin(self.m), self.qpos, self.qvel)

    @cached_property
    def required(self) -> Required:
        """Forces that the motion takes in its joints where nothing touches it."""
        return required_forces(self.m, self.qpos, self.qvel, self.bodies, self.contacts)

    @cached_property
    def followed(self) -> Tracks:
        """What a tracker makes of the clips without their actions; a second round of it would find no more."""
        return track_states(self.m, self.qpos, self.qvel, ComputedTorque(rounds=1))

    @cached_property
    def clearance(self) -> Array:
        """Height (B, T) of the lowest point above the ground, m; `NO_GROUND` where there is none."""
        lowest = self.contacts.lowest
        return np.full(self.shape, NO_GROUND) if lowest is None else lowest


def check_robot(m: ControlModel, clip: MotionClip) -> None:
    """Refuses a clip of another task or of other sizes.

    Raises:
        ClipError: With the field that does not fit.
    """
    if clip.task != m.task:
        raise ClipError(f"task: expected a clip of {m.task}, got one of {clip.task}; use that task's verifier")
    sizes = {"qpos": m.model.nq, "qvel": m.model.nv, "action": m.model.nu}
    for name, size in sizes.items():
        value = getattr(clip, name)
        if value is not None and value.shape[1] != size:
            raise ClipError(f"{name}: expected {size} columns for {m.task}, got {value.shape[1]}")


@lru_cache(maxsize=64)
def _with_margin(m: ControlModel) -> ControlModel:
    """The same robot, for which MuJoCo lists pairs of geoms that do not touch yet: states have errors."""
    model = m.model.__copy__()
    model.geom_margin[:] = NEAR
    return replace(m, model=model)


def _bounded(x: Array) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return (np.abs(x) <= LARGEST).all(-1)  # NaN compares false
