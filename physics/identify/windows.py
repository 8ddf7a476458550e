"""Cuts clips into short stretches that are replayed from the clip's own states.

# B windows, H control steps, V degrees of freedom
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..errors import ClipError
from ..mechanics.control_model import ControlModel
from ..mechanics.tangent import Tangent

Array = NDArray[np.float64]


class Windows(NamedTuple):
    """Starts, what was done from there, and where it led."""

    qpos: Array  # (B, nq)
    qvel: Array  # (B, nv)
    action: Array  # (B, H, nu)
    next_qpos: Array  # (B, H, nq)
    next_qvel: Array  # (B, H, nv)
    clip: NDArray[np.int64]  # (B,) which clip a window is from
    spread: Array  # (2 V,) standard deviation of positions and velocities over all frames, SI


def cut(clips: Sequence[MotionClip], m: ControlModel, steps: int) -> Windows:
    """Windows of `steps` control steps, end to end; those that hold a number which is not finite are left out.

    Raises:
        ClipError: A clip is of another robot, has no actions, or there is no window at all.
    """
    tangent, starts = Tangent(m.model), []
    for index, clip in enumerate(clips):
        _check(index, clip, m)
        sound = np.isfinite(clip.qpos).all(1) & np.isfinite(clip.qvel).all(1)
        assert clip.action is not None
        acted = np.isfinite(clip.action).all(1)
        for t in range(0, clip.frames - steps, steps):
            if sound[t : t + steps + 1].all() and acted[t : t + steps].all():
                starts.append((index, t))
    if not starts:
        raise ClipError(f"clips: expected at least one of {steps + 1} finite frames, got none in {len(clips)} clips")

    def gather(name: str, first: int, length: int) -> Array:
        return np.stack([getattr(clips[i], name)[t + first : t + first + length] for i, t in starts])

    qpos, qvel = tangent.normalised(gather("qpos", 0, steps + 1)), gather("qvel", 0, steps + 1)
    moved = tangent.difference(qpos[:1, :1], qpos)
    spread = np.concatenate((moved.std((0, 1)), qvel.std((0, 1))))
    return Windows(
        qpos[:, 0],
        qvel[:, 0],
        gather("action", 0, steps),
        qpos[:, 1:],
        qvel[:, 1:],
        np.array([i for i, _ in starts]),
        spread,
    )


def _check(index: int, clip: MotionClip, m: ControlModel) -> None:
    if clip.task != m.task:
        raise ClipError(f"clips[{index}].task: expected {m.task!r}, got {clip.task!r}; identify each task by itself")
    if clip.action is None:
        raise ClipError(f"clips[{index}].action: expected actions, got None; a world shows in what actions lead to")
    sizes = (clip.qpos.shape[1], clip.qvel.shape[1], clip.action.shape[1])
    wanted = (int(m.model.nq), int(m.model.nv), int(m.model.nu))
    if sizes != wanted:
        raise ClipError(f"clips[{index}]: expected (nq, nv, nu) = {wanted} of {m.task}, got {sizes}")
