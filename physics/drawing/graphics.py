"""Which OpenGL the cameras draw with: chosen before MuJoCo is imported, asked for only when a frame is drawn."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import sys
from typing import Any

from ..errors import TaskError

APT_LINE = "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri"

_log = logging.getLogger(__name__)


def _loadable(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def choose_backend() -> None:
    """Set `MUJOCO_GL` and Mesa's thread count by environment variable, where nothing is set yet.

    Must run before `import mujoco`, which reads `MUJOCO_GL` once. On Linux without a display the backend is EGL; where
    the EGL library is missing it is "disable", so that importing MuJoCo works and only drawing a frame is an error.
    Frames are small, so a software driver draws them twice as fast in the calling thread: `LP_NUM_THREADS=0`.
    """
    os.environ.setdefault("LP_NUM_THREADS", "0")
    if not sys.platform.startswith("linux"):
        return
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if wanted == "egl" or (not wanted and not has_display):
        if _loadable("libEGL.so.1"):
            os.environ["MUJOCO_GL"] = "egl"
        else:
            if wanted:
                _log.warning("MUJOCO_GL=egl, but libEGL.so.1 cannot be loaded; run: %s", APT_LINE)
            os.environ["MUJOCO_GL"] = "disable"


def _context_class() -> Any:
    if not sys.platform.startswith("linux"):
        from mujoco import GLContext

        return GLContext
    backend = os.environ.get("MUJOCO_GL", "").lower().strip()
    if backend == "osmesa":
        from mujoco.osmesa import GLContext
    elif backend in ("glfw", "glx"):
        from mujoco.glfw import GLContext
    else:
        from mujoco.egl import GLContext
    return GLContext


def make_context(width: int, height: int) -> Any:
    """A new offscreen OpenGL context, made current.

    Args:
        width: Largest width that will be drawn, pixels.
        height: Largest height, pixels.

    Returns:
        The context, with `make_current()` and `free()`.

    Raises:
        TaskError: No OpenGL context can be had; the message holds the line that installs one.
    """
    _load_triton_first()
    try:
        context = _context_class()(width, height)
        context.make_current()
    except Exception as error:  # the drivers' own errors have no common class
        backend = os.environ.get("MUJOCO_GL") or "egl"
        raise TaskError(
            f"camera: expected a working OpenGL context (MUJOCO_GL={backend}), got {type(error).__name__}: {error}; "
            f'run "{APT_LINE}" and set MUJOCO_GL=egl, or use obs="state", which draws nothing'
        ) from error
    return context


def _load_triton_first() -> None:
    """Import triton, if it is installed, before the OpenGL driver loads its own copy of LLVM.

    The other order ends in a segmentation fault when torch imports triton with the first optimizer.
    """
    if "triton" not in sys.modules and importlib.util.find_spec("triton") is not None:
        try:
            import triton  # noqa: F401
        except Exception as error:
            _log.warning("triton is installed but cannot be imported: %s", error)
