"""The verifier: is this motion, with these actions, one that the robot could have made?

Example:
    >>> from physics.real_clips import record_clips
    >>> from physics.verifier import MotionVerifier
    >>> verifier = MotionVerifier("wmenv/InvertedPendulum-v0", noise=0.02)
    >>> report = verifier.verify(record_clips("wmenv/InvertedPendulum-v0", 1, seed=3))[0]
    >>> report.diverged_at is None
    True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .calibration import CAP, Calibration, Scale
from .clip import MotionClip
from .clip_batch import ClipBatch, check_robot
from .control_model import ControlModel, control_model
from .errors import ClipError
from .measure import SIGNALS, measure
from .noise import noisy, state_spread
from .real_clips import record_clips
from .report import PhysicsReport
from .world import World

Array = NDArray[np.float64]
CALIBRATION_CLIPS, CALIBRATION_FRAMES, CALIBRATION_SEED = 256, 32, 20_261
SHIPPED = Path(__file__).parent / "calibrations"
TOGETHER = 64  # clips measured at once, so that memory stays bounded
ARMS = ("with actions", "without actions")
MOST_SENTENCES = 5


class MotionVerifier:
    """Measures clips of one task and says how far they are from what is possible.

    Args:
        task: Id of the task.
        noise: Size of the errors that the clips' states are expected to have (a camera's, an estimator's, a dream's),
            in units of the spread of real states; real clips with such errors are what 'as good as real' means.
        calibration: What real clips look like; None: that of the task and noise which is shipped, or else it is made
            now from recorded clips, which takes seconds to minutes.
        worlds: Further worlds that the robot might live in besides the nominal one. What most of them explain is not
            held against a clip.

    Raises:
        TaskError: There is no such task.
        ClipError: `noise` is out of range or the calibration is another task's.
    """

    def __init__(
        self,
        task: str,
        *,
        noise: float = 0.02,
        calibration: Calibration | None = None,
        worlds: Sequence[World] = (),
    ) -> None:
        if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise <= 1:
            raise ClipError(f"noise: expected a number from 0 to 1, in spreads of real states, got {noise!r}")
        self._m = control_model(task)
        self._worlds = tuple(control_model(task, world) for world in worlds)
        self.calibration = calibration or known_calibration(task, float(noise))
        if self.calibration.task != task:
            raise ClipError(f"calibration: expected one of {task}, got one of {self.calibration.task}")

    @property
    def task(self) -> str:
        """Id of the task."""
        return self.calibration.task

    def verify(self, clips: Sequence[MotionClip]) -> list[PhysicsReport]:
        """A report for each clip; the same bits whatever other clips stand beside it.

        Args:
            clips: Of this task, of any lengths, with actions or without.

        Raises:
            ClipError: A clip is of another robot. States that are not finite are no error: the report says where.
        """
        for clip in clips:
            check_robot(self._m, clip)
        reports: dict[int, PhysicsReport] = {}
        for group in _alike(clips):
            for first in range(0, len(group), TOGETHER):
                part = group[first : first + TOGETHER]
                batch = ClipBatch.stack(self._m, [clips[i] for i in part])
                reports |= zip(part, reports_of(batch, self.calibration, self._worlds), strict=True)
        return [reports[i] for i in range(len(clips))]

    def verify_one(self, clip: MotionClip) -> PhysicsReport:
        """The report of one clip."""
        return self.verify([clip])[0]


def reports_of(batch: ClipBatch, known: Calibration, worlds: tuple[ControlModel, ...] = ()) -> list[PhysicsReport]:
    """The reports of a batch."""
    found = measure(batch, known, worlds)
    scores = {name: np.minimum(value / known.scales[name].frame, CAP) for name, value in found.items()}
    arm = ARMS[batch.action is None]
    each = np.stack([known.scales[name].clip_score(value) for name, value in found.items()])
    whole = np.minimum(each.max(0) / known.whole[arm], CAP)
    local = [name for name in found if SIGNALS[name].local]
    bent = np.stack([(found[name] / known.scales[name].clip) ** known.scales[name].bend for name in local])
    score = np.minimum(bent.max(0) / known.whole[arm], CAP)
    reports = []
    for b in range(len(whole)):
        first = int(batch.unsound[b])
        broken = first < batch.shape[1]
        per_frame = np.where(np.arange(batch.shape[1]) >= first, CAP, score[b])
        fired = [(each[k, b] / known.whole[arm], name) for k, name in enumerate(found)]
        fired = [name for size, name in sorted(fired, reverse=True) if size > 1]
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


def calibrate(clips: Sequence[MotionClip], *, noise: float, seed: int = 0) -> Calibration:
    """Learns what real clips look like.

    Args:
        clips: Real clips of one task and length, with actions, without errors; some hundred. Two thirds give the
            signals' scales, the rest that of their combination.
        noise: Size of the errors added to them, in units of the spread of their states.
        seed: Of the errors.

    Raises:
        ClipError: The clips are too few, differ in length or task, or lack actions.
    """
    if len(clips) < 30 or len({(c.task, c.frames) for c in clips}) > 1 or any(c.action is None for c in clips):
        raise ClipError("clips: expected 30 or more of one task and length with actions; record_clips makes such")
    m = control_model(clips[0].task)
    qpos_spread, qvel_spread = state_spread(m, clips)
    fastest = np.quantile(np.abs(np.stack([c.qvel for c in clips])), 0.999, axis=(0, 1))
    blank = Calibration(
        task=m.task, noise=float(noise), qpos_spread=tuple(qpos_spread), qvel_spread=tuple(qvel_spread),
        speed_limit=tuple(1.25 * fastest + 3 * noise * qvel_spread + 1e-6), clips=len(clips), scales={}, whole={},
    )  # fmt: skip
    dirty = noisy(m, clips, noise, qpos_spread, qvel_spread, seed)
    parts: dict[str, list[Array]] = {}
    for first in range(0, len(dirty), TOGETHER):
        for name, value in measure(ClipBatch.stack(m, dirty[first : first + TOGETHER]), blank).items():
            parts.setdefault(name, []).append(value)
    values = {name: np.concatenate(each) for name, each in parts.items()}
    blind: dict[str, list[Array]] = {}
    bare = [clip.without_actions() for clip in dirty]
    for first in range(0, len(bare), TOGETHER):
        for name, value in measure(ClipBatch.stack(m, bare[first : first + TOGETHER]), blank).items():
            blind.setdefault(name, []).append(value)
    without = {name: np.concatenate(each) for name, each in blind.items()}
    cut = 2 * len(clips) // 3
    scales = {name: Scale.fitted(value[:cut], SIGNALS[name].floor) for name, value in values.items()}
    # energy without actions is measured against another bound, so its larger scale serves both
    whole = {}
    for arm, seen in zip(ARMS, (values, without), strict=True):
        each = np.stack([scales[name].clip_score(value[cut:]) for name, value in seen.items()])
        whole[arm] = max(float(np.quantile(each.max(0), 0.95)), 1e-3)
    return Calibration(
        task=blank.task, noise=blank.noise, qpos_spread=blank.qpos_spread, qvel_spread=blank.qvel_spread,
        speed_limit=blank.speed_limit, clips=blank.clips, scales=scales, whole=whole,
    )  # fmt: skip


@lru_cache(maxsize=64)
def known_calibration(task: str, noise: float) -> Calibration:
    """The shipped calibration of a task and noise, or one made of clips that are recorded now."""
    path = calibration_path(task, noise)
    if path.exists():
        return Calibration.load(path)
    clips = record_clips(task, CALIBRATION_CLIPS, CALIBRATION_FRAMES, seed=CALIBRATION_SEED)
    return calibrate(clips, noise=noise)


def calibration_path(task: str, noise: float) -> Path:
    """Where the calibration of a task and noise is shipped, if it is."""
    return SHIPPED / f"{task.replace('/', '-')}_noise-{noise:g}.json"


def _alike(clips: Sequence[MotionClip]) -> list[list[int]]:
    """Indices of clips of one length that all have actions or all lack them."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for i, clip in enumerate(clips):
        groups.setdefault((clip.frames, clip.action is None), []).append(i)
    return list(groups.values())


def _sentences(fired: list[str], values: Mapping[str, Array], broken: int | None) -> tuple[str, ...]:
    said = [] if broken is None else [f"frame {broken}: its numbers are not finite or absurdly large"]
    for name in fired[:MOST_SENTENCES]:
        worst = int(np.argmax(values[name]))
        said.append(f"frame {worst}: {SIGNALS[name].says.format(value=float(values[name][worst]))}")
    return tuple(said)
