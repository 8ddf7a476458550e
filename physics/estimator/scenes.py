"""Pictures of known poses: what an estimator is trained on and measured by.

# N poses
"""

from __future__ import annotations

from types import TracebackType

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..drawing.camera import Camera
from ..drawing.render import Renderer, paint
from ..mechanics.control_model import control_model
from ..tasks.fit_camera import fitted_camera
from ..tasks.registry import find_spec

Array = NDArray[np.float64]
SIZE = 64
JITTER = 0.15  # of the spread, about poses that were recorded
OVERSHOOT = 0.1  # of a range, by which poses leave it: joints do, and so do dreams


class Scene:
    """Draws poses of one task with the task's own camera.

    Goals that are no part of qpos are placed anew for every picture, so that they tell an estimator nothing.

    Args:
        task: Id of the task.

    Raises:
        TaskError: There is no such task.
    """

    def __init__(self, task: str) -> None:
        spec = find_spec(task)
        self.model = control_model(task).model.__copy__()
        self.camera: Camera = spec.camera or fitted_camera(self.model)
        self._renderer = Renderer(self.model, self.camera)
        self._data = mujoco.MjData(self.model)
        self._goals = [(self.model.geom(name).id, bound) for name, bound in spec.goals.items()]

    def colours(self) -> list[tuple[float, float, float]]:
        """The colours, in [0, 1], of whatever moves and is seen; sorted, each once."""
        painted = paint(self.model, self.camera)
        moves = self.model.body_weldid[self.model.geom_bodyid] != 0
        seen = painted.geom_rgba[moves & (painted.geom_rgba[:, 3] > 0), :3].astype(float)
        return sorted({(float(r), float(g), float(b)) for r, g, b in seen.round(4)})

    def draw(self, qpos: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Frames (N, 64, 64, 3) of poses (N, nq)."""
        frames = np.empty((len(qpos), SIZE, SIZE, 3), np.uint8)
        for row, pose in enumerate(qpos):
            for geom, (low, high) in self._goals:
                self.model.geom_pos[geom, :2] = rng.uniform(low, high, 2)
            self._data.qpos[:] = pose
            frames[row] = self._renderer.draw(self._data, SIZE)
        return frames

    def close(self) -> None:
        """Free the camera."""
        self._renderer.close()

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def spread_poses(model: mujoco.MjModel, recorded: Array, num: int, rng: np.random.Generator) -> Array:
    """Poses (num, nq) beyond those that were `recorded` (N, nq), so that other policies' motions can be read too.

    A third are recorded ones with noise, a third have half of their joints drawn anew over the whole range, a third
    have all.
    """
    low, high = _ranges(model, recorded)
    qpos = recorded[rng.integers(len(recorded), size=num)].copy()
    share = rng.choice([0.0, 0.5, 1.0], size=(num, 1))
    drawn = rng.random((num, model.nq)) < share
    fresh = rng.uniform(low, high, (num, model.nq))
    noisy = qpos + JITTER * recorded.std(0) * rng.standard_normal(qpos.shape)
    return np.where(drawn, fresh, noisy)


def _ranges(model: mujoco.MjModel, recorded: Array) -> tuple[Array, Array]:
    low, high = recorded.min(0), recorded.max(0)
    margin = OVERSHOOT * (high - low)
    low, high = low - margin, high + margin
    for joint in range(model.njnt):
        kind, at = mujoco.mjtJoint(model.jnt_type[joint]), int(model.jnt_qposadr[joint])
        if kind == mujoco.mjtJoint.mjJNT_HINGE:
            limits = model.jnt_range[joint] if model.jnt_limited[joint] else np.array([-np.pi, np.pi])
            margin = OVERSHOOT * (limits[1] - limits[0])
            low[at], high[at] = limits[0] - margin, limits[1] + margin
    return low, high
