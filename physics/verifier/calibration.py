"""What real clips of a task look like to every signal, so that 1.0 reads 'as good as real' everywhere.

A signal's calibrated score is its value in units of the 95th percentile of real clips. `combined` makes one number of
all: the signals that replay the actions know most and vary least among real clips, so with actions their geometric mean
counts, and any other signal once it is beyond everything that was seen of real clips: each further signal that counted
from its 95th percentile on would add its own rare peaks to real clips.

# B clips, T frames
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from ..files import write_bytes
from ..signals import Noise

Array = NDArray[np.float64]
FORMAT = 2
LEAST = 1e-9
SHARE, CONFIDENCE = 0.95, 0.95  # of real clips that pass, and how sure that is
LEAST_ERROR = 1e-3  # spreads
TAIL = 1.35  # where the 99.5th percentile of real clips lies, in units of the 95th, once a tail has been bent
BEYOND = 2.0  # times the largest real value: from here on a signal outside the core speaks for itself
CORE = ("innovation", "innovation_8", "drift")
CAP = 1e4  # scores end here, where replays end elsewhere by as much as they are measured; finite whatever a dream holds


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """One signal on real clips, in the signal's unit.

    Args:
        frame: 95th percentile of frames.
        frame_most: Largest of all frames.
        clip: 95th percentile of clip means.
        clip_most: Largest of them.
        bend: Exponent in (0, 1] that gives all signals like tails.
    """

    frame: float
    frame_most: float
    clip: float
    clip_most: float
    bend: float

    @classmethod
    def fitted(cls, values: Array, floor: float) -> Scale:
        """From values (B, T) of real clips; `floor` is what a difference must be to matter."""
        means, frames, least = values.mean(1), values[:, 1:], max(floor, LEAST)
        clip = max(float(np.quantile(means, 0.95)), least)
        tail = float(np.quantile(means, 0.995)) / clip
        return cls(
            frame=max(float(np.quantile(frames, 0.95)), least),
            frame_most=max(float(frames.max()), least),
            clip=clip,
            clip_most=max(float(means.max()), least),
            bend=1.0 if tail <= TAIL else math.log(TAIL) / math.log(tail),
        )


def core_of(names: Collection[str]) -> list[str]:
    """The signals that speak first: those that replay in units of errors, or else those that replay at all.

    The others say how a state is and not whether it follows: a foot that stands lies a little in the floor, and who is
    graded by the largest of all learns to hold it higher.
    """
    return [name for name in CORE if name in names] or [name for name in names if name.startswith("replay_")]


def combined(scales: Mapping[str, Scale], values: Mapping[str, Array], *, frames: bool = False) -> Array:
    """One number out of all signals, higher is worse, not yet scaled.

    Args:
        scales: Of each signal.
        values: Name -> (B,) means of clips, or with `frames` (B, T).
        frames: Whether these are frames.

    Returns:
        Of the values' shape, at most `CAP`.
    """
    core = core_of(values)
    parts = [
        relative(scales[name], value, frames=frames, alone=not core)
        for name, value in values.items()
        if name not in core
    ]
    if core:
        shares = [
            np.maximum(relative(scales[name], values[name], frames=frames, alone=True, bent=False), 1e-6)
            for name in core
        ]
        parts.append(np.exp(np.mean(np.log(shares), axis=0)))
    return np.minimum(np.max(parts, axis=0), CAP)


def relative(scale: Scale, values: Array, *, frames: bool, alone: bool, bent: bool = True) -> Array:
    """Values in units of the real ones' 95th percentile, or, unless `alone`, of what lies beyond all real ones."""
    if not alone:
        return values / (BEYOND * (scale.frame_most if frames else scale.clip_most))
    share = values / (scale.frame if frames else scale.clip)
    return share**scale.bend if bent else share


def upper_bound(values: Array) -> float:
    """What with 95% confidence at least 95 of 100 values of the same origin as `values` (N,) are below.

    The percentile of a few hundred clips is itself uncertain: half of all calibrations would let more than 5 of 100
    fresh clips pass for wrong. So the r-th smallest value is taken, with the least r for which the chance that r or
    more of N values lie below the true percentile is at most 5%. Of fewer than 59 values it is the largest, and the
    confidence is less.

    Source: Wilks 1941, Determination of sample sizes for setting tolerance limits; nothing is assumed of the values.
    """
    count = len(values)
    above, rank = 0.0, count  # the chance that `rank` or more lie below
    while rank > 1:
        ways = math.lgamma(count + 1) - math.lgamma(rank + 1) - math.lgamma(count - rank + 1)
        above += math.exp(ways + rank * math.log(SHARE) + (count - rank) * math.log1p(-SHARE))
        if above > 1 - CONFIDENCE:
            break
        rank -= 1
    return float(np.sort(values)[min(rank, count - 1)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What a verifier knows of real clips of one task, read in one way.

    Args:
        task: Id of the task.
        qpos_error: (nv,) standard deviation of the errors in positions, m, rad.
        qvel_error: (nv,) in velocities.
        qpos_spread: (nv,) standard deviation of real positions, m, rad.
        qvel_spread: (nv,) of real velocities.
        speed_limit: (nv,) beyond which a speed is excessive.
        clips: How many real clips were seen.
        scales: Of each signal.
        whole: Upper bound of the 95th percentile of the combined number of real clips, with actions and without.
        whole_frame: 95th percentile of that of real frames.
    """

    task: str
    qpos_error: tuple[float, ...]
    qvel_error: tuple[float, ...]
    qpos_spread: tuple[float, ...]
    qvel_spread: tuple[float, ...]
    speed_limit: tuple[float, ...]
    clips: int
    scales: Mapping[str, Scale]
    whole: Mapping[str, float]
    whole_frame: Mapping[str, float]

    @property
    def errors(self) -> Noise:
        """The assumed errors of a clip's states; never zero, since replays of real clips differ in their last bits."""
        q, v = np.array(self.qpos_spread), np.array(self.qvel_spread)
        own_q, own_v = np.array(self.qpos_error), np.array(self.qvel_error)
        return Noise(np.maximum(own_q, LEAST_ERROR * q), np.maximum(own_v, LEAST_ERROR * v), q, v)

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


_VECTORS = ("qpos_error", "qvel_error", "qpos_spread", "qvel_spread", "speed_limit")
