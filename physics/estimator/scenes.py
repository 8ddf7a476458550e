"""Pictures of known poses: what an estimator is trained on and measured by.

# N poses, M marks
"""

from __future__ import annotations

from types import TracebackType

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..camera import Camera
from ..control_model import control_model
from ..render import Renderer
from ..tasks.fit_camera import fitted_camera
from ..tasks.registry import find_spec

Array = NDArray[np.float64]
SIZE = 64
JITTER = 0.15  # of the spread, about poses that were recorded
OVERSHOOT = 0.1  # of a range, by which poses leave it: joints do, and so do dreams
MOST_MARKS = 40
_LONG = (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER)


class Scene:
    """Draws poses of one task with the task's own camera and says where the robot's marks are in the picture.

    Marks are the middles of the geoms that are seen, and of long ones both ends. Goals that are no part of qpos are
    placed anew for every picture, so that they tell the network nothing.

    Args:
        task: Id of the task.
    """

    def __init__(self, task: str) -> None:
        spec = find_spec(task)
        self.model = control_model(task).model.__copy__()
        self.camera: Camera = spec.camera or fitted_camera(self.model)
        self._renderer = Renderer(self.model, self.camera)
        self._data = mujoco.MjData(self.model)
        self._goals = [(self.model.geom(name).id, bound) for name, bound in spec.goals.items()]
        self._marks = _marks(self.model, self.camera)

    @property
    def num_marks(self) -> int:
        """M."""
        return len(self._marks)

    def draw(self, qpos: Array, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Frames (N, 64, 64, 3) of poses (N, nq) and their marks (N, M, 2): right and down, the picture is -1 to 1."""
        frames = np.empty((len(qpos), SIZE, SIZE, 3), np.uint8)
        marks = np.empty((len(qpos), self.num_marks, 2), np.float32)
        for row, pose in enumerate(qpos):
            for geom, (low, high) in self._goals:
                self.model.geom_pos[geom, :2] = rng.uniform(low, high, 2)
            self._data.qpos[:] = pose
            mujoco.mj_kinematics(self.model, self._data)
            frames[row] = self._renderer.draw(self._data, SIZE)
            marks[row] = self._project()
        return frames, marks

    def close(self) -> None:
        """Free the camera."""
        self._renderer.close()

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _project(self) -> Array:
        camera, data = self.camera, self._data
        lookat = np.array(camera.lookat)
        for axis in camera.axes:
            lookat[axis] += data.body(camera.track_body).xpos[axis]
        places = [data.geom_xpos[g] + end * data.geom_xmat[g].reshape(3, 3)[:, 2] for g, end in self._marks]
        from_middle = np.array(places).reshape(-1, 3) - lookat
        right = np.cross(camera.forward, camera.up)
        across = from_middle @ right / (camera.width / 2)
        down = -from_middle @ np.array(camera.up) / ((camera.height or camera.width) / 2)
        return np.stack((across, down), axis=-1)


def _marks(model: mujoco.MjModel, camera: Camera) -> list[tuple[int, float]]:
    """(geom, distance along its z axis, m) of every mark."""
    middles, ends = [], []
    for geom in range(model.ngeom):
        still = model.body_weldid[model.geom_bodyid[geom]] == 0
        if still or model.geom_rgba[geom, 3] == 0 or model.geom(geom).name in camera.hidden:
            continue
        if mujoco.mjtGeom(model.geom_type[geom]) in _LONG:
            half = float(model.geom_size[geom, 1])
            ends += [(geom, -half), (geom, half)]
        else:
            middles.append((geom, 0.0))
    return (ends + middles)[:MOST_MARKS]


def spread_poses(model: mujoco.MjModel, recorded: Array, num: int, rng: np.random.Generator) -> Array:
    """Poses (num, nq) beyond those that were `recorded` (N, nq), so that other policies' motions can be read too.

    A third are recorded ones with noise, a third have some joints drawn anew over their whole range, a third all.
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
            limits = model.jnt_range[joint] if model.jnt_limited[joint] else (-np.pi, np.pi)
            margin = OVERSHOOT * (limits[1] - limits[0])
            low[at], high[at] = limits[0] - margin, limits[1] + margin
    return low, high
