"""Pictures of a clip by its task's own camera.

# T frames
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..drawing.render import Renderer, check_size
from ..mechanics.control_model import control_model
from ..tasks.fit_camera import fitted_camera
from ..tasks.registry import find_spec
from .batch import ClipBatch
from .clip import MotionClip


def film(clip: MotionClip, frames: Sequence[int] | None = None, size: int = 96) -> NDArray[np.uint8]:
    """Draws the clip.

    Args:
        clip: Frames that are not finite are drawn as the last one that is.
        frames: Which; None: all.
        size: Width and height, pixels.

    Returns:
        (len(frames), size, size, 3) uint8.

    Raises:
        TaskError: There is no such task, or the size is out of range.
        ClipError: The clip is of another robot.
    """
    m = control_model(clip.task)
    states = ClipBatch.stack(m, [clip])
    renderer = Renderer(m.model, find_spec(clip.task).camera or fitted_camera(m.model))
    data, pictures = mujoco.MjData(m.model), []
    try:
        for t in range(clip.frames) if frames is None else frames:
            data.qpos[:], data.qvel[:] = states.qpos[0, t], states.qvel[0, t]
            mujoco.mj_forward(m.model, data)
            pictures.append(renderer.draw(data, check_size(size)))
    finally:
        renderer.close()
    return np.stack(pictures)
