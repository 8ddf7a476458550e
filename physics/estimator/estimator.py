"""The state estimator: a robot's motion out of frames of it, by networks that were trained once and then frozen.

# T frames, K members
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..clips.clip import MotionClip
from ..errors import ClipError
from ..files import write_bytes
from ..mechanics.control_model import control_model
from .codes import PoseCode
from .colours import ColourMoments
from .errors import EstimatorError
from .held_out import HeldOutError
from .motion import MotionFilter
from .readers import Reader, read_all

Array = NDArray[np.float64]
FORMAT = 1
SIZE = 64
DESCRIPTION = "estimator.json"
SHIPPED = Path(__file__).parent / "weights"
TRAIN = "train one with physics.estimator.train_estimator(task, folder)"


class StateEstimator:
    """Reads positions and velocities from frames of one task, drawn by the task's own camera.

    The dynamics have no part in it: each frame is read by itself, and a joint's velocity is a fixed weighting of the
    positions of the same joint in at most nine frames. `train_estimator` makes one.

    Args:
        task: Id of the task.
        colours: What is measured in a frame.
        readers: K networks.
        code: What their outputs mean.
        motion: What makes velocities.
        scale: 95th percentile of the members' disagreement on real frames.
        held_out: Errors on held-out frames, positions first.
        unseen: Names of coordinates that frames do not tell: "qpos:rootx" of a camera that follows the robot is known
            up to a constant only.

    Raises:
        EstimatorError: The pieces do not fit each other or the task.
        TaskError: There is no such task.
    """

    def __init__(
        self,
        task: str,
        *,
        colours: ColourMoments,
        readers: Sequence[Reader],
        code: PoseCode,
        motion: MotionFilter,
        scale: float,
        held_out: Sequence[HeldOutError] = (),
        unseen: Sequence[str] = (),
    ) -> None:
        if not readers or any(reader.sizes != (colours.size, code.size) for reader in readers):
            sizes = [reader.sizes for reader in readers]
            raise EstimatorError(f"readers: expected networks of {colours.size} to {code.size} numbers, got {sizes}")
        if not (np.isfinite(scale) and scale > 0):
            raise EstimatorError(f"scale: expected a number above 0, got {scale!r}")
        self.task, self.scale = task, float(scale)
        self.held_out, self.unseen = tuple(held_out), tuple(unseen)
        self.control_model = control_model(task)
        self._colours, self._readers, self._code, self._motion = colours, tuple(readers), code, motion

    @property
    def errors(self) -> dict[str, float]:
        """Root mean square error on held-out frames by coordinate and unit, such as "qpos:hinge [rad]"."""
        return {f"{row.name} [{row.unit}]": row.rms for row in self.held_out}

    @property
    def periods(self) -> Array:
        """By degree of freedom (nv,) the period, m or rad, within which a position is known; 0: known altogether."""
        return self._code.periods(self.control_model.model.nv)

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return hashlib.sha256(save(self._arrays())).hexdigest()

    def read(self, frames: NDArray[np.uint8], action: Any = None) -> tuple[MotionClip, Array]:
        """The motion that `frames` show.

        Args:
            frames: (T, 64, 64, 3) uint8, T >= 2, one per control step.
            action: (T - 1, nu) actions between them, handed on to the clip: nothing is read from them. None: unknown.

        Returns:
            The clip, and the disagreement of the networks (T,) in units of its 95th percentile on real frames.

        Raises:
            EstimatorError: Frames or actions are not what was expected.
        """
        code, spread = read_all(self._readers, self._colours.read(check_frames(frames)))
        qpos, qvel = self._motion.read(self._code.decode(code))
        try:
            clip = MotionClip(task=self.task, qpos=qpos, qvel=qvel, action=action)
        except ClipError as error:
            raise EstimatorError(str(error)) from error
        nu = len(self.control_model.low)
        if clip.action is not None and clip.action.shape[1] != nu:
            raise EstimatorError(f"action: expected {nu} numbers a step, got {clip.action.shape[1]}")
        return clip, spread / self.scale

    def read_many(
        self, frames: Sequence[NDArray[np.uint8]], actions: Sequence[Any] | None = None
    ) -> tuple[list[MotionClip], list[Array]]:
        """`read` of each, the same bits.

        Raises:
            EstimatorError: As `read`, or there are not as many actions as films.
        """
        given = [None] * len(frames) if actions is None else list(actions)
        if len(given) != len(frames):
            raise EstimatorError(f"actions: expected one array a film, {len(frames)}, got {len(given)}")
        pairs = [self.read(film, action) for film, action in zip(frames, given, strict=True)]
        return [clip for clip, _ in pairs], [disagreement for _, disagreement in pairs]

    def read_poses(self, frames: NDArray[np.uint8]) -> Array:
        """Positions (T, nq) of each frame by itself, as they are before the filter.

        Raises:
            EstimatorError: Frames are not what was expected.
        """
        return self._code.decode(read_all(self._readers, self._colours.read(check_frames(frames)))[0])

    def save(self, folder: str | Path) -> None:
        """Writes the weights as safetensors, then estimator.json, which holds their digest and so makes them count.

        Raises:
            OSError: The disk is full or the folder cannot be made.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        payload, sha256 = save(self._arrays()), self.digest
        name = f"estimator-{sha256[:16]}.safetensors"
        write_bytes(folder / name, payload)
        description = {
            "format": FORMAT,
            "task": self.task,
            "file": name,
            "sha256": sha256,
            "colours": self._colours.colours.tolist(),
            "parts": self._code.to_list(),
            "scale": self.scale,
            "unseen": list(self.unseen),
            "held_out": [asdict(row) for row in self.held_out],
        }
        write_bytes(folder / DESCRIPTION, (json.dumps(description, indent=1) + "\n").encode())
        for old in folder.glob("estimator-*.safetensors"):
            if old.name != name:
                old.unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: str | Path) -> StateEstimator:
        """Reads what `save` wrote; nothing is unpickled.

        Raises:
            EstimatorError: A file is missing, damaged or of another kind.
            TaskError: The task that it reads is not known here.
        """
        path = Path(folder) / DESCRIPTION
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EstimatorError(f"{path}: expected a file of StateEstimator.save, got {error}; {TRAIN}") from error
        if not isinstance(about, Mapping) or about.get("format") != FORMAT:
            raise EstimatorError(f"{path}: expected format {FORMAT}; {TRAIN}")
        try:
            arrays = _arrays(Path(folder) / Path(str(about["file"])).name, about["sha256"])
            readers: dict[str, dict[str, NDArray[np.float32]]] = {}
            for name in [name for name in arrays if name.startswith("reader")]:
                member, _, key = name.partition(".")
                readers.setdefault(member, {})[key] = arrays[name]
            model = control_model(about["task"]).model
            return cls(
                about["task"],
                colours=ColourMoments(about["colours"], arrays["ground"].astype(bool)),
                readers=[Reader(readers[member]) for member in sorted(readers)],
                code=PoseCode.from_list(model, about["parts"]),
                motion=MotionFilter(model, arrays["filter"].astype(float), arrays["sigma"].astype(float)),
                scale=float(about["scale"]),
                held_out=[HeldOutError(**row) for row in about["held_out"]],
                unseen=[str(name) for name in about["unseen"]],
            )
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise EstimatorError(f"{path}: expected what StateEstimator.save writes, got {error!r}; {TRAIN}") from error

    @classmethod
    def shipped(cls, task: str) -> StateEstimator:
        """The estimator that comes with the package for a task.

        Raises:
            EstimatorError: None comes with it; the message says for which tasks there is one and how to train one.
        """
        known = sorted(f"wmenv/{path.parent.name}" for path in SHIPPED.glob(f"*/{DESCRIPTION}"))
        if task not in known:
            raise EstimatorError(f"task: expected one with a shipped estimator, {known}, got {task!r}; {TRAIN}")
        return cls.load(SHIPPED / task.removeprefix("wmenv/"))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {
            f"reader{k}.{name}": np.ascontiguousarray(array)
            for k, reader in enumerate(self._readers)
            for name, array in reader.arrays.items()
        }
        # The filter stays in float64, so that a loaded estimator gives the same bits.
        arrays |= {"filter": np.ascontiguousarray(self._motion.weights), "sigma": self._motion.sigma.copy()}
        return arrays | {"ground": self._colours.ground.astype(np.uint8)}


def check_frames(frames: Any, least: int = 2) -> NDArray[np.uint8]:
    """`frames` if they are what an estimator reads.

    Raises:
        EstimatorError: They are not (T, 64, 64, 3) uint8.
    """
    shape, dtype = getattr(frames, "shape", None), getattr(frames, "dtype", None)
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        raise EstimatorError(f"frames: expected a numpy array of uint8, got {type(frames).__name__} of {dtype}")
    if frames.ndim != 4 or frames.shape[1:] != (SIZE, SIZE, 3) or len(frames) < least:
        raise EstimatorError(f"frames: expected (T, {SIZE}, {SIZE}, 3) with T >= {least}, got {shape}")
    return frames


def _arrays(path: Path, sha256: Any) -> dict[str, NDArray[Any]]:
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise EstimatorError(f"{path}: expected the weights of an estimator, got {error}; {TRAIN}") from error
    if hashlib.sha256(payload).hexdigest() != sha256:
        raise EstimatorError(f"{path}: the digest does not match, the file is damaged; restore it from a copy")
    try:
        return load(payload)
    except (SafetensorError, ValueError, TypeError) as error:
        raise EstimatorError(f"{path}: not a safetensors file ({error}); restore it from a copy") from error
