"""Learns from real clips what 'as good as real' is.

# B clips, T frames
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..clips.batch import ClipBatch
from ..clips.clip import MotionClip
from ..clips.noise import Spread, add_noise, error_of, spread_of
from ..errors import ClipError
from ..mechanics.control_model import ControlModel, check_motors, control_model, world_models
from ..world import World
from .calibration import Calibration, Scale, combined, upper_bound
from .measure import READER, SIGNALS, local, measurable, measure

Array = NDArray[np.float64]
Reading = Callable[[Sequence[MotionClip]], tuple[list[MotionClip], list[Array]]]
TOGETHER = 64  # clips measured at once, so that memory stays bounded
LEAST_WHOLE = 1e-3
ARMS = ("with actions", "without actions")


def calibrate(
    clips: Sequence[MotionClip],
    *,
    noise: float = 0.02,
    read: Reading | None = None,
    worlds: Sequence[World | ControlModel] = (),
    signals: Collection[str] | None = None,
    seed: int = 0,
) -> Calibration:
    """Learns what real clips look like.

    Args:
        clips: Real clips of one task and length, with actions, without errors; some hundred. One half gives the
            signals' scales, the other that of their combination.
        noise: Size of the errors added to them, in units of the spread of their states.
        read: Instead of added errors: what reads these clips as others will be read that are to be judged, say from
            frames; and how unsure it was, (T,) of each.
        worlds: Those in which the verifier will replay, see `MotionVerifier`.
        signals: Names out of `physics.SIGNALS`; a verifier with this calibration measures these and no others. None:
            all.
        seed: Of the errors.

    Raises:
        ClipError: The clips are too few, differ in length or task, or lack actions; their robot's motors have a state
            of their own; a signal is unknown, or none of those that are wanted says in which frame something is wrong.
        TaskError: There is no such task.
    """
    wanted = tuple(SIGNALS) if signals is None else tuple(signals)
    unknown = [name for name in wanted if name not in SIGNALS]
    if unknown or not wanted:
        raise ClipError(f"signals: expected some of {', '.join(SIGNALS)}, got {unknown or 'none'}")
    arms = _arms(wanted)
    if len(clips) < 30 or len({(c.task, c.frames) for c in clips}) > 1 or any(c.action is None for c in clips):
        raise ClipError("clips: expected 30 or more of one task and length with actions; record_clips makes such")
    check_motors(control_model(clips[0].task))
    spread = spread_of(clips)
    fastest = np.quantile(np.abs(np.stack([c.qvel for c in clips])), 0.999, axis=(0, 1))
    dirty, unsure = (add_noise(clips, noise, spread, seed), None) if read is None else read(clips)
    error = Spread(noise * spread.qpos, noise * spread.qvel) if read is None else error_of(clips, dirty)
    blank = Calibration(
        task=clips[0].task,
        qpos_error=_floats(error.qpos),
        qvel_error=_floats(error.qvel),
        qpos_spread=_floats(spread.qpos),
        qvel_spread=_floats(spread.qvel),
        speed_limit=_floats(1.25 * fastest + 3 * error.qvel + 1e-6),
        clips=len(clips),
        scales={},
        whole={},
        whole_frame={},
    )
    bare = [clip.without_actions() for clip in dirty]
    seen = dict(zip(ARMS, (_measured(c, blank, worlds, wanted) for c in (dirty, bare)), strict=True))
    if unsure is not None:
        for values in seen.values():
            values[READER] = np.stack(unsure)
    cut = len(clips) // 2
    every = seen[ARMS[1]] | seen[ARMS[0]]
    scales = {name: Scale.fitted(every[name][:cut], SIGNALS[name].floor) for name in SIGNALS if name in every}
    whole, whole_frame = {}, {}
    for arm, values in seen.items():
        if arm not in arms:
            continue  # every signal that was wanted needs actions, or their absence
        fresh = {name: value[cut:] for name, value in values.items()}
        clip = combined(scales, {name: value.mean(1) for name, value in fresh.items()})
        frame = combined(scales, {name: value[:, 1:] for name, value in local(fresh).items()}, frames=True)
        whole[arm] = max(upper_bound(clip), LEAST_WHOLE)
        whole_frame[arm] = max(float(np.quantile(frame, 0.95)), LEAST_WHOLE)
    return replace(blank, scales=scales, whole=whole, whole_frame=whole_frame)


def _arms(wanted: Sequence[str]) -> list[str]:
    """The arms in which something is measured; in each of them, where it is has to be told, too."""
    found = {arm: measurable(wanted, actions=arm == ARMS[0]) for arm in ARMS}
    arms = [arm for arm in ARMS if found[arm]]
    blind = [arm for arm in arms if not local(dict.fromkeys(found[arm]))]
    if blind or not arms:
        raise ClipError(
            f"signals: expected one that says in which frame something is wrong, got {', '.join(wanted)}, of which "
            f"none does for clips {' or '.join(blind or ARMS)}; add another, such as speed_mismatch"
        )
    return arms


def _measured(
    clips: Sequence[MotionClip], known: Calibration, worlds: Sequence[World | ControlModel], wanted: Collection[str]
) -> dict[str, Array]:
    models, parts = world_models(clips[0].task, worlds), {}
    m = models[0]
    for first in range(0, len(clips), TOGETHER):
        for name, value in measure(ClipBatch.stack(m, clips[first : first + TOGETHER]), known, models, wanted).items():
            parts.setdefault(name, []).append(value)
    return {name: np.concatenate(each) for name, each in parts.items()}


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(float(f"{value:.9g}") for value in values)
