"""What MuJoCo derives from states, for many at once: one pass of its forward stages on `mujoco.batch`, no step.

# N states
"""

from __future__ import annotations

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

Array = NDArray[np.float64]


def forward(
    model: mujoco.MjModel,
    names: tuple[str, ...],
    qpos: Array,
    qvel: Array,
    ctrl: Array | None = None,
    *,
    stage: mujoco.mjtStage,
    threads: int = 0,
) -> list[Array]:
    """The fields `names` of MjData, (N, ...) each, the same bits whatever stands in the other rows.

    Args:
        model: The robot.
        names: Fields that the stages up to `stage` compute.
        qpos: (N, nq) finite.
        qvel: (N, nv) finite.
        ctrl: (N, nu); None: zero.
        stage: The last stage that is run.
        threads: 0 for all cores.
    """
    batch = Batch(model, len(qpos), nthread=threads)
    bound = [batch.bind(name) for name in names]
    batch.reset(stage=mujoco.mjtStage.mjSTAGE_NONE)
    batch.bind("qpos")[:], batch.bind("qvel")[:] = qpos, qvel
    if ctrl is not None:
        batch.bind("ctrl")[:] = ctrl
    batch.forward(stage=stage)
    return [np.array(view, np.float64) for view in bound]
