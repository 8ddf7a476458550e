"""Draws small pictures of a task fast: a painted copy of the model, no planes, no lamps, one context per process."""

from __future__ import annotations

import atexit
import copy
import hashlib
import os
import threading

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..errors import TaskError
from .blocks import Blocks
from .camera import LIGHT_GREY, PALETTE, Camera
from .graphics import make_context

LARGEST_SIZE = 2048
SMALLEST_SIZE = 8
SPARE_GEOMS = 128
DEPTH = 5.0  # from the camera to its lookat in units of the field's width, and as far beyond; it changes no picture
SMALLEST_DEPTH = 10.0  # m
_EVERYTHING = mujoco.mjtCatBit.mjCAT_ALL.value
DISC_THICKNESS = 0.001  # m
_SLICES, _STACKS = 12, 6  # polygons around and along a round geom; the outline is within 4% of its radius


class _Canvas:
    """An OpenGL context with the meshes of one model on it, shared by all that draw such models at one size."""

    def __init__(self, painted: mujoco.MjModel, pixels: int) -> None:
        self.users = 0
        self.gl = make_context(pixels, pixels)
        self.context = mujoco.MjrContext(painted, mujoco.mjtFontScale.mjFONTSCALE_50)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self.context)
        self.rect = mujoco.MjrRect(0, 0, pixels, pixels)
        self.buffer = np.empty((pixels, pixels, 3), np.uint8)

    def draw(self, scene: mujoco.MjvScene) -> NDArray[np.uint8]:
        """The picture of `scene`, upside down, in a buffer that the next call overwrites."""
        self.gl.make_current()
        mujoco.mjr_render(self.rect, scene, self.context)
        mujoco.mjr_readPixels(self.buffer, None, self.rect, self.context)
        return self.buffer

    def free(self) -> None:
        self.gl.make_current()
        self.context.free()
        self.gl.free()


_Key = tuple[int, int, bytes, int]  # process, thread, meshes, pixels: a forked child leaves its parent's canvases alone
_canvases: dict[_Key, _Canvas] = {}


def _free_canvases() -> None:
    """Free what this process made, before the driver's own exit handler runs."""
    for key in [key for key in _canvases if key[0] == os.getpid()]:
        _canvases.pop(key).free()


class Renderer:
    """Draws one MuJoCo model through one `Camera`. Nothing is asked of OpenGL before the first `draw`.

    Args:
        model: The model; a copy is painted, the model itself is never changed.
        camera: Where to look and how to paint.

    Raises:
        TaskError: The camera names a body or geom that the model does not have.
    """

    def __init__(self, model: mujoco.MjModel, camera: Camera) -> None:
        self._camera = camera
        self._painted = paint(model, camera)
        self._scene = mujoco.MjvScene(self._painted, model.ngeom + model.nsite + 2 * model.ntendon + SPARE_GEOMS)
        for flag in ("SHADOW", "REFLECTION", "HAZE", "SKYBOX", "FOG"):
            self._scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{flag}")] = 0
        self._option = mujoco.MjvOption()
        self._view = mujoco.MjvCamera()
        self._view.azimuth, self._view.elevation, self._view.distance = camera.azimuth, camera.elevation, _depth(camera)
        self._view.lookat[:] = camera.lookat
        self._blocks = Blocks(camera) if camera.ground is not None else None
        self._body = -1 if camera.track_body is None else _find(model, mujoco.mjtObj.mjOBJ_BODY, camera.track_body)
        self._model = model
        self._posed = mujoco.MjData(model)
        self._meshes = _digest(model)
        self._held: dict[_Key, _Canvas] = {}

    def draw(self, data: mujoco.MjData, size: int) -> NDArray[np.uint8]:
        """The picture of `data`.

        Args:
            data: A state of the model; its positions alone are read. (After `mj_step` the poses in MjData are one
                physics step old, and bringing them up to date would change what some rewards are computed from.)
            size: Width and height, pixels.

        Returns:
            A new array (size, size, 3), red, green, blue in 0 to 255, top row first.

        Raises:
            TaskError: No OpenGL context can be had.
        """
        factor = self._camera.supersample
        canvas = self._canvas(size * factor)
        posed, scene = self._pose(data), self._scene
        lookat = self._view.lookat
        for axis in self._camera.axes:
            lookat[axis] = self._camera.lookat[axis] + posed.xpos[self._body, axis]
        mujoco.mjv_updateScene(self._painted, posed, self._option, None, self._view, _EVERYTHING, scene)
        for eye in scene.camera:
            eye.frustum_width = self._camera.width / 2
        if self._blocks is not None:
            self._blocks.lay(scene, lookat)
        return shrink(canvas.draw(self._scene)[::-1], factor)

    def close(self) -> None:
        """Give the shared context back; the last user frees it."""
        for key, canvas in self._held.items():
            canvas.users -= 1
            if canvas.users == 0 and key[0] == os.getpid() and _canvases.get(key) is canvas:
                _canvases.pop(key).free()
        self._held.clear()

    def _canvas(self, pixels: int) -> _Canvas:
        key = (os.getpid(), threading.get_ident(), self._meshes, pixels)
        if key not in self._held:
            if key not in _canvases:
                self._painted.vis.global_.offwidth = self._painted.vis.global_.offheight = pixels
                _canvases[key] = _Canvas(self._painted, pixels)
                # Handlers run last in, first out: ours must come before those that shut the driver down.
                atexit.unregister(_free_canvases)
                atexit.register(_free_canvases)
            _canvases[key].users += 1
            self._held[key] = _canvases[key]
        return self._held[key]

    def _pose(self, data: mujoco.MjData) -> mujoco.MjData:
        posed = self._posed
        posed.qpos[:] = data.qpos
        if self._model.nmocap:
            posed.mocap_pos[:], posed.mocap_quat[:] = data.mocap_pos, data.mocap_quat
        mujoco.mj_kinematics(self._model, posed)
        if self._model.ntendon:
            mujoco.mj_comPos(self._model, posed)
            mujoco.mj_tendon(self._model, posed)
        return posed


def _depth(camera: Camera) -> float:
    return max(SMALLEST_DEPTH, DEPTH * camera.width)


def _digest(model: mujoco.MjModel) -> bytes:
    """Names what a context holds of a model: its meshes, height fields and skins; the rest is drawn afresh."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (model.mesh_vert, model.mesh_face, model.hfield_data, model.skin_vert, model.skin_face):
        digest.update(str(array.shape).encode() + array.tobytes())
    return digest.digest()


def _find(model: mujoco.MjModel, kind: mujoco.mjtObj, name: str) -> int:
    index = mujoco.mj_name2id(model, kind, name)
    if index < 0:
        raise TaskError(f"camera: expected the name of a {kind.name[6:].lower()} of the model, got {name!r}")
    return index


def paint(model: mujoco.MjModel, camera: Camera) -> mujoco.MjModel:
    """A copy of `model` for drawing alone: flat colours, few polygons, no planes, no shadows, no multisampling."""
    painted = copy.copy(model)
    quality = painted.vis.quality
    quality.shadowsize = quality.offsamples = 0
    quality.numslices, quality.numstacks, quality.numquads = _SLICES, _STACKS, 1
    lamp = painted.vis.headlight
    lamp.active = 1
    lamp.specular[:] = 0.0
    lamp.ambient[:] = 0.55 if camera.shading else 1.0
    lamp.diffuse[:] = 0.5 if camera.shading else 0.0
    painted.vis.global_.fovy = camera.height or camera.width  # an orthographic camera's is a length
    painted.vis.global_.orthographic = 1
    painted.stat.extent = 1.0
    painted.vis.map.znear, painted.vis.map.zfar = 0.01 * _depth(camera), 2 * _depth(camera)
    painted.light_active[:] = 0
    painted.mat_emission[:] = painted.mat_specular[:] = painted.mat_reflectance[:] = 0.0
    painted.geom_matid[:] = painted.site_matid[:] = painted.tendon_matid[:] = -1
    painted.site_rgba[:, 3] = 0.0
    painted.tendon_rgba[:] = (*LIGHT_GREY, 1.0)
    names = [model.geom(i).name for i in range(model.ngeom)]
    for kind in (camera.colours, camera.sizes, camera.hidden, camera.discs):
        for name in kind:
            if name not in names and (kind is not camera.colours or name not in _body_names(model)):
                raise TaskError(f"camera: expected the name of a geom of the model, got {name!r}")
    for i, name in enumerate(names):
        body = int(model.geom_bodyid[i])
        colour = camera.colours.get(name) or camera.colours.get(model.body(body).name) or PALETTE[body % len(PALETTE)]
        is_plane = model.geom_type[i] == mujoco.mjtGeom.mjGEOM_PLANE
        visible = model.geom_rgba[i, 3] > 0 and not is_plane and name not in camera.hidden
        painted.geom_rgba[i] = [*colour, float(visible)]
        if name in camera.sizes:
            size = camera.sizes[name]
            painted.geom_size[i, : len(size)] = size
        if name in camera.discs:
            painted.geom_type[i] = mujoco.mjtGeom.mjGEOM_CYLINDER
            painted.geom_size[i] = (camera.discs[name], DISC_THICKNESS, 0.0)
    return painted


def _body_names(model: mujoco.MjModel) -> set[str]:
    return {model.body(i).name for i in range(model.nbody)}


def shrink(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """`picture` (factor * S, factor * S, 3) averaged down to (S, S, 3); a new array."""
    if factor == 1:
        return picture.copy()
    size = picture.shape[0] // 2
    rows = np.add(picture[::2], picture[1::2], dtype=np.uint16).reshape(size, -1)
    # Every neighbouring pair is added in one contiguous pass and half of the sums are dropped: loops over pairs of
    # three bytes would take twice as long.
    total = rows[:, :-3] + rows[:, 3:]
    total += 2
    total >>= 2
    means = np.empty(rows.shape, np.uint8)
    means[:, :-3] = total
    kept = means.view("V3")[:, ::2].copy().view(np.uint8).reshape(size, size, 3)
    return shrink(kept, factor // 2) if factor > 2 else kept


def check_size(size: object, name: str = "size") -> int:
    """`size` as a picture's width in pixels.

    Raises:
        TaskError: It is not a whole number from 8 to 2048.
    """
    whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
    if not whole or not SMALLEST_SIZE <= int(size) <= LARGEST_SIZE:  # type: ignore[call-overload]
        raise TaskError(f"{name}: expected a whole number from {SMALLEST_SIZE} to {LARGEST_SIZE} pixels, got {size!r}")
    return int(size)  # type: ignore[call-overload]
