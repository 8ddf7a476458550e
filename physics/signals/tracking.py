"""How far a controller that tries to repeat the motion ends from it: what no command to the motors could have made.

Asked of clips without actions, where no replay can be. With actions the replays know all that a tracker finds out, so
that its cost would buy nothing.

Source: RLPF's reward (Yue et al. 2025, arXiv:2506.12769), as a distance instead of a verdict, and without a policy.

# B clips, T frames
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..clips.batch import ClipBatch
from ..mechanics.kinematics import body_centres

Array = NDArray[np.float64]
LOST = 10.0  # m; farther than this says no more


def tracking_error(clips: ClipBatch) -> Array:
    """Distance between the clip and what follows it within its motors' limits, (B, T), m: mean of centres of mass."""
    moving = np.asarray(clips.m.model.body_weldid) != 0
    ours, theirs = (body_centres(clips.m, qpos)[..., moving, :] for qpos in (clips.followed.qpos, clips.qpos))
    apart = np.linalg.norm(ours - theirs, axis=-1).mean(-1)
    return np.where(clips.followed.diverged, LOST, np.minimum(apart, LOST))
