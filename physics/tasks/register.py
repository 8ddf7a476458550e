"""The one call that makes a task of the user's own MuJoCo Gymnasium id or MJCF file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..drawing.camera import Camera
from ..errors import TaskError
from .env import TaskEnv
from .gym_source import own_limit
from .mjcf_check import check_mjcf
from .registry import add_spec
from .spec import TaskSpec
from .table import SPECS

_ID = re.compile(r"([\w:.-]+/)?[\w:.-]+-v\d+")


def register_task(
    task_id: str,
    *,
    source: str | Path,
    camera: Camera | None = None,
    max_episode_steps: int | None = None,
    options: Mapping[str, Any] | None = None,
    **details: Any,
) -> TaskSpec:
    """Make a task of a MuJoCo Gymnasium id or of an MJCF file; from then on its id works like the project's own.

    Args:
        task_id: The new id, such as "me/Ant-v0".
        source: A Gymnasium id ("Ant-v5", or "module:Mine-v0" of a module that registers it) whose class is a
            MujocoEnv, or the path of an MJCF file (it ends in .xml).
        camera: The task's camera; None: one is fitted to the model.
        max_episode_steps: Control steps until truncation; None: the Gymnasium id's own limit, none for an MJCF file.
        options: Keyword arguments of the Gymnasium class; for an MJCF file `frame_skip`, `reset_noise`, `reward`
            (a function of model, data and action) and `terminated` (a function of model and data). Functions of an
            importable module: recording runs in other processes, into which no lambda can be sent.
        **details: Further fields of `TaskSpec`, such as `omit_position`, `velocity_bounds` or `meaning`.

    Returns:
        The task's spec.

    Raises:
        TaskError: The id is malformed or the project's own, the source cannot be made, or a detail does not fit it.

    Example:
        >>> spec = register_task("me/Swimmer-v0", source="Swimmer-v5")
        >>> spec.max_episode_steps
        1000
    """
    if not (isinstance(task_id, str) and _ID.fullmatch(task_id)):
        raise TaskError(f"task_id: expected a Gymnasium id such as 'me/Robot-v0', got {task_id!r}")
    if task_id in {spec.id for spec in SPECS}:
        raise TaskError(f"task_id: expected a new id, got {task_id!r}, which is one of the project's own")
    known = set(TaskSpec.__dataclass_fields__) - {"id", "source", "max_episode_steps", "camera", "options"}
    unknown = sorted(set(details) - known)
    if unknown:
        raise TaskError(f"details: expected fields out of {sorted(known)}, got {unknown}")
    if isinstance(source, Path) or str(source).endswith(".xml"):
        origin = f"mjcf:{check_mjcf(source)}"
    else:
        origin = f"gym:{source}"
        if max_episode_steps is None:
            max_episode_steps = own_limit(str(source), options or {})
    if max_episode_steps is not None and not (isinstance(max_episode_steps, int) and max_episode_steps > 0):
        raise TaskError(f"max_episode_steps: expected a whole number above 0 or None, got {max_episode_steps!r}")
    spec = TaskSpec(
        id=task_id,
        source=origin,
        max_episode_steps=max_episode_steps,
        camera=camera,
        options=dict(options or {}),
        **details,
    )
    TaskEnv(spec).close()  # whatever does not fit is found here, not in the first worker process
    add_spec(spec)
    return spec
