"""A motion to be judged: states of one robot at control rate, and the actions that it claims to have followed."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from ..files import write_bytes
from ..world import World, as_world

FORMAT = 1
LONGEST = 100_000
WIDEST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MotionClip:
    """T states and the T - 1 actions between them.

    Arrays are copied and read-only. Numbers that are not finite are allowed, since a dream may hold some: the verifier
    reports them.

    Args:
        task: Id of the task.
        qpos: (T, nq) positions as MuJoCo has them, m, rad, quaternions wxyz; T >= 2.
        qvel: (T, nv) velocities, m/s, rad/s.
        action: (T - 1, nu), action t leads from state t to t + 1, in the task's own units; None: unknown.
        world: The world in which the clip was recorded, for the record; nothing is judged by it. None: unknown.

    Raises:
        ClipError: A field is not what was expected.

    Example:
        >>> clip = MotionClip(task="wmenv/InvertedPendulum-v0", qpos=[[0, 0], [0, 0.1]], qvel=[[0, 0], [0, 0]])
        >>> clip.frames, clip.action is None
        (2, True)
    """

    task: str
    qpos: NDArray[np.float64]
    qvel: NDArray[np.float64]
    action: NDArray[np.float64] | None = None
    world: World | None = None

    def __post_init__(self) -> None:
        """Checks and copies the fields."""
        if not (isinstance(self.task, str) and self.task):
            raise ClipError(f"task: expected a task id, got {self.task!r}")
        for name in ("qpos", "qvel", "action"):
            value = getattr(self, name)
            if value is not None or name != "action":
                object.__setattr__(self, name, _matrix(name, value))
        frames = len(self.qpos)
        if frames < 2:
            raise ClipError(f"qpos: expected at least 2 frames, got {frames}; a motion needs a before and an after")
        if len(self.qvel) != frames:
            raise ClipError(f"qvel: expected as many frames as qpos, {frames}, got {len(self.qvel)}")
        if self.action is not None and len(self.action) != frames - 1:
            raise ClipError(f"action: expected one between two frames, {frames - 1}, got {len(self.action)}")
        if self.world is not None:
            object.__setattr__(self, "world", as_world(self.world))

    @property
    def frames(self) -> int:
        """T."""
        return len(self.qpos)

    def without_actions(self) -> MotionClip:
        """The same motion, its actions unknown."""
        return MotionClip(task=self.task, qpos=self.qpos, qvel=self.qvel, world=self.world)

    def save(self, path: str | Path) -> None:
        """Writes the clip as an .npz archive of plain arrays, whole or not at all.

        Raises:
            OSError: The disk is full or the folder is missing.
        """
        about: dict[str, Any] = {"format": FORMAT, "task": self.task}
        about["world"] = None if self.world is None else self.world.to_dict()
        arrays: dict[str, Any] = {"about": np.array(json.dumps(about)), "qpos": self.qpos, "qvel": self.qvel}
        if self.action is not None:
            arrays["action"] = self.action
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> MotionClip:
        """Reads what `save` wrote; nothing is unpickled.

        Raises:
            ClipError: The file is missing, damaged or holds something else.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ClipError(f"clip: expected a file of MotionClip.save, got {str(path)!r}: {error.strerror}") from error
        if not data.startswith(b"PK"):  # numpy would take it for a pickle, and advise to open that
            raise ClipError(f"clip: expected a file of MotionClip.save, got {str(path)!r}, which is no .npz archive")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                content = {name: file[name] for name in file.files}
        except Exception as error:
            # Any: numpy, zipfile, zlib, struct and the tokenizer that reads array headers fail each in ways of its own
            # on bytes that are not theirs, a dozen types in all; only this reading is inside, and nothing is hidden.
            said = str(error).splitlines() or [repr(error)]
            raise ClipError(f"clip: expected a file of MotionClip.save, got {str(path)!r}: {said[0]}") from error
        try:
            about = json.loads(str(content["about"][()]))
            known = isinstance(about, Mapping) and about["format"] == FORMAT
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ClipError(f"clip: expected a file of MotionClip.save, got {str(path)!r}: {error!r}") from error
        if not known or not {"qpos", "qvel"} <= set(content):
            raise ClipError(f"clip: expected format {FORMAT} with qpos and qvel, got {str(path)!r}")
        fields = {name: content[name] for name in ("qpos", "qvel", "action") if name in content}
        return cls(task=about.get("task"), world=about.get("world"), **fields)


def _matrix(name: str, value: Any) -> NDArray[np.float64]:
    try:
        array = np.array(value, dtype=np.float64, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        raise ClipError(f"{name}: expected a matrix of numbers, got {type(value).__name__}: {error}") from error
    if array.ndim != 2 or not 0 < array.shape[1] <= WIDEST or len(array) > LONGEST:
        raise ClipError(
            f"{name}: expected shape (frames, coordinates) of at most ({LONGEST}, {WIDEST}), got {array.shape}"
        )
    array.flags.writeable = False
    return array
