"""The verifier: is this motion, with these actions, one that the robot could have made?

Example:
    >>> from physics import MotionVerifier, record_clips
    >>> verifier = MotionVerifier("wmenv/InvertedPendulum-v0", noise=0.02)
    >>> report = verifier.verify(record_clips("wmenv/InvertedPendulum-v0", 1, seed=3))[0]
    >>> report.diverged_at is None
    True
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ..clips.batch import ClipBatch, check_robot
from ..clips.clip import MotionClip
from ..errors import ClipError
from ..mechanics.control_model import ControlModel, check_motors, world_models
from ..world import World
from .calibrate import ARMS, TOGETHER
from .calibration import CAP, Calibration, combined, core_of, relative
from .measure import READER, SIGNALS, local, measure
from .report import PhysicsReport
from .shipped import known_calibration

Array = NDArray[np.float64]
MOST_SENTENCES = 5


class MotionVerifier:
    """Measures clips of one task and says how far they are from what is possible.

    Args:
        task: Id of the task.
        noise: Size of the errors that the clips' states are expected to have (a camera's, an estimator's, a dream's),
            in units of the spread of real states; real clips with such errors are what 'as good as real' means.
        calibration: What real clips look like; None: that of the task and noise which is shipped, or else it is made
            now from recorded clips, which takes seconds to minutes.
        worlds: That the robot might live in, such as `physics.ensemble()` or one around what `physics.identify` found;
            none for the nominal one. What most of them explain is not held against a clip; the first is the one whose
            masses and motors the signals without replays assume.

    Raises:
        TaskError: There is no such task.
        ClipError: `noise` is out of range, the calibration is another task's, or the motors have a state of their own.
    """

    def __init__(
        self,
        task: str,
        *,
        noise: float = 0.02,
        calibration: Calibration | None = None,
        worlds: Sequence[World | ControlModel] = (),
    ) -> None:
        if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise <= 1:
            raise ClipError(f"noise: expected a number from 0 to 1, in spreads of real states, got {noise!r}")
        self._worlds = world_models(task, worlds)
        self._m = self._worlds[0]
        check_motors(self._m)
        self.calibration = calibration or known_calibration(task, float(noise))
        if self.calibration.task != task:
            raise ClipError(f"calibration: expected one of {task}, got one of {self.calibration.task}")

    @property
    def task(self) -> str:
        """Id of the task."""
        return self.calibration.task

    @property
    def digest(self) -> str:
        """SHA-256 of calibration and worlds: equal where every clip has the same report."""
        known = json.dumps(asdict(self.calibration), sort_keys=True).encode()
        return hashlib.sha256(b"".join((known, *(world.to_bytes() for world in self._worlds)))).hexdigest()

    def verify(self, clips: Sequence[MotionClip], disagreement: Sequence[Array] | None = None) -> list[PhysicsReport]:
        """A report for each clip; the same bits whatever other clips stand beside it.

        Args:
            clips: Of this task, of any lengths, with actions or without.
            disagreement: How unsure the reader of each clip was, (T,); only where the calibration knows such a reader.

        Raises:
            ClipError: A clip is of another robot, or `disagreement` is not what was expected. States that are not
                finite are no error: the report says where.
        """
        for clip in clips:
            check_robot(self._m, clip)
            if ARMS[clip.action is None] not in self.calibration.whole:
                self._refuse(clip)
        if disagreement is not None:
            self._check_reader(clips, disagreement)
        reports: dict[int, PhysicsReport] = {}
        for group in _alike(clips):
            for first in range(0, len(group), TOGETHER):
                part = group[first : first + TOGETHER]
                batch = ClipBatch.stack(self._m, [clips[i] for i in part])
                found = measure(batch, self.calibration, self._worlds, self.calibration.scales)
                if disagreement is not None:
                    found[READER] = np.stack([disagreement[i] for i in part])
                reports |= zip(part, reports_of(batch, found, self.calibration), strict=True)
        return [reports[i] for i in range(len(clips))]

    def _refuse(self, clip: MotionClip) -> NoReturn:
        if clip.action is None:
            raise ClipError("action: expected actions, got none; every signal of this verifier needs them")
        names = ", ".join(name for name in self.calibration.scales if name != READER)
        raise ClipError(
            f"action: expected none, got some; this verifier measures {names}, which clips with actions lack; "
            "give clip.without_actions()"
        )

    def _check_reader(self, clips: Sequence[MotionClip], disagreement: Sequence[Array]) -> None:
        if READER not in self.calibration.scales:
            raise ClipError(
                "disagreement: expected none, since this calibration knows no reader of clips; "
                "use FrameVerifier, or calibrate(clips, read=...)"
            )
        shapes = [np.shape(each) for each in disagreement]
        wanted = [(clip.frames,) for clip in clips]
        if shapes != wanted:
            raise ClipError(f"disagreement: expected shapes {wanted}, one number a frame, got {shapes}")
        if not all(np.isfinite(each).all() for each in disagreement):
            raise ClipError("disagreement: expected finite numbers, got some that are not; mend the reader")

    def verify_one(self, clip: MotionClip) -> PhysicsReport:
        """The report of one clip."""
        return self.verify([clip])[0]


def reports_of(batch: ClipBatch, found: Mapping[str, Array], known: Calibration) -> list[PhysicsReport]:
    """The reports of a batch of which these signals (B, T) were found."""
    arm, frames = ARMS[batch.action is None], batch.shape[1]
    means = {name: value.mean(1) for name, value in found.items()}
    scores = {name: np.minimum(value / known.scales[name].frame, CAP) for name, value in found.items()}
    whole = np.minimum(combined(known.scales, means) / known.whole[arm], CAP)
    score = np.minimum(combined(known.scales, local(found), frames=True) / known.whole_frame[arm], CAP)
    core = core_of(found)
    alone = {name: not core or name in core for name in found}
    each = {n: relative(known.scales[n], means[n], frames=False, alone=alone[n]) / known.whole[arm] for n in found}
    reports = []
    for b in range(len(whole)):
        first = int(batch.unsound[b])
        broken = first < frames
        per_frame = np.where(np.arange(frames) >= first, CAP, score[b])
        fired = [name for size, name in sorted(((each[n][b], n) for n in found), reverse=True) if size > 1]
        reports.append(
            PhysicsReport(
                task=known.task,
                signals={name: value[b] for name, value in found.items()},
                scores={name: value[b] for name, value in scores.items()},
                score=per_frame,
                clip_score=CAP if broken else float(whole[b]),
                fired=(("diverged",) if broken else ()) + tuple(fired),
                sentences=_sentences(fired, {n: v[b] for n, v in found.items()}, first if broken else None),
                diverged_at=first if broken else None,
            )
        )
    return reports


def _alike(clips: Sequence[MotionClip]) -> list[list[int]]:
    """Indices of clips of one length that all have actions or all lack them."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for i, clip in enumerate(clips):
        groups.setdefault((clip.frames, clip.action is None), []).append(i)
    return list(groups.values())


def _sentences(fired: list[str], values: Mapping[str, Array], broken: int | None) -> tuple[str, ...]:
    said = [] if broken is None else [f"frame {broken}: its numbers are not finite or absurdly large"]
    for name in fired[:MOST_SENTENCES]:
        largest = np.flatnonzero(values[name] == values[name].max())  # all frames of a window hold its value
        worst = int(largest[len(largest) // 2])
        said.append(f"frame {worst}: {SIGNALS[name].says.format(value=float(values[name][worst]))}")
    return tuple(said)
