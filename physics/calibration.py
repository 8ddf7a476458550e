"""What real clips of a task look like to every signal, so that 1.0 reads 'as good as real' everywhere.

A signal's calibrated score is its value in units of the 95th percentile of real clips. For the one number of a clip,
signals with heavy tails (an impact now and then) are bent so that all tails are alike, then the largest counts.

# B clips, T frames
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ClipError
from .files import write_bytes
from .signals import Noise

Array = NDArray[np.float64]
FORMAT = 1
LEAST = 1e-9
TAIL = 1.35  # where the 99.5th percentile of real clips lies, in units of the 95th, once a tail has been bent
CAP = 100.0  # scores end here: finite whatever a dream holds


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """One signal on real clips.

    Args:
        frame: 95th percentile of frames, in the signal's unit.
        clip: 95th percentile of clip means, in the signal's unit.
        bend: Exponent in (0, 1] that gives all signals like tails.
    """

    frame: float
    clip: float
    bend: float

    @classmethod
    def fitted(cls, values: Array, floor: float) -> Scale:
        """From values (B, T) of real clips; `floor` is what a difference must be to matter, in the signal's unit."""
        means = values.mean(1)
        frame = max(float(np.quantile(values[:, 1:], 0.95)), floor, LEAST)
        clip = max(float(np.quantile(means, 0.95)), floor, LEAST)
        tail = float(np.quantile(means, 0.995)) / clip
        bend = 1.0 if tail <= TAIL else math.log(TAIL) / math.log(tail)
        return cls(frame=frame, clip=clip, bend=bend)

    def clip_score(self, values: Array) -> Array:
        """Values (B, T) as scores (B,) of clips, bent."""
        return np.minimum((values.mean(1) / self.clip) ** self.bend, CAP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What a verifier knows of real clips of one task, read with errors of one size.

    Args:
        task: Id of the task.
        noise: Size of the errors, in units of the spread of real states.
        qpos_spread: (nv,) standard deviation of real positions, m, rad.
        qvel_spread: (nv,) of real velocities.
        speed_limit: (nv,) beyond which a speed is excessive.
        clips: How many real clips were seen.
        scales: Of each signal.
        whole: 95th percentile of the combined score of real clips, with actions and without.
    """

    task: str
    noise: float
    qpos_spread: tuple[float, ...]
    qvel_spread: tuple[float, ...]
    speed_limit: tuple[float, ...]
    clips: int
    scales: Mapping[str, Scale]
    whole: Mapping[str, float]

    @property
    def errors(self) -> Noise:
        """The assumed errors of a clip's states; never zero, since replays of real clips differ in their last bits."""
        q, v = np.array(self.qpos_spread), np.array(self.qvel_spread)
        size = max(self.noise, 1e-3)
        return Noise(size * q, size * v, q, v)

    def save(self, path: str | Path) -> None:
        """Writes JSON, whole or not at all."""
        write_bytes(path, (json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Reads what `save` wrote.

        Raises:
            ClipError: The file is missing, damaged or of another format.
        """
        try:
            content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            if content.pop("format") != FORMAT:
                raise ValueError("another format")
            scales = {name: Scale(**scale) for name, scale in content.pop("scales").items()}
            vectors = {name: tuple(map(float, content.pop(name))) for name in _VECTORS}
            return cls(scales=scales, **vectors, **content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ClipError(
                f"calibration: expected a file of Calibration.save, got {str(path)!r}: {error!r}"
            ) from error


_VECTORS = ("qpos_spread", "qvel_spread", "speed_limit")
