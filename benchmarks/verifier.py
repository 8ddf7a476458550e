"""What the verifier costs: clips a second for the replay battery, milliseconds a clip for every signal, threads.

`python -m benchmarks.verifier` writes benchmarks/verifier.json. Clips of 32 frames, 64 at a time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from benchmarks.common import write
from physics import MotionClip, MotionVerifier, record_clips
from physics.clips.batch import ClipBatch
from physics.mechanics.control_model import control_model
from physics.signals import innovation, replay_errors, tracking_error
from physics.verifier.measure import signal_functions

TASKS = ("wmenv/InvertedPendulum-v0", "wmenv/Hopper-v0", "wmenv/HalfCheetah-v0")
CLIPS, FRAMES = 64, 32
ROUNDS, SECONDS = 5, 3.0  # as many rounds at least, and more of what is quick
BATTERY = "replay battery (1, 4, 8 steps)"
TARGET = 300.0  # Hopper clips a second for the replay battery


def main() -> int:
    """Measures and writes."""
    cores = os.sched_getaffinity(0)
    rows = []
    for task in TASKS:
        verifier = MotionVerifier(task)
        clips = record_clips(task, CLIPS, FRAMES, seed=91)
        for name, part in _parts(verifier, clips).items():
            hopper = task == "wmenv/Hopper-v0" and name == BATTERY
            rows.append(_row(task, name, len(cores), part, TARGET if hopper else None))
        if task == "wmenv/Hopper-v0" and len(cores) > 1:
            os.sched_setaffinity(0, {min(cores)})  # MuJoCo's threads share what is left
            rows.append(_row(task, BATTERY, 1, _parts(verifier, clips)[BATTERY], None))
            os.sched_setaffinity(0, cores)
    notes = (
        f"{CLIPS} clips of {FRAMES} frames together, median of {ROUNDS} rounds or more; least: the fastest round, which"
        " other processes on the machine disturbed least."
    )
    write("verifier", rows, notes=notes)
    return 0


def _parts(verifier: MotionVerifier, clips: list[MotionClip]) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    m, known = control_model(verifier.task), verifier.calibration
    bare = [clip.without_actions() for clip in clips]

    def fresh() -> ClipBatch:
        return ClipBatch.stack(m, clips)

    parts: dict[str, Callable[[], object]] = {
        BATTERY: lambda: replay_errors(fresh(), known.errors),
        "innovations (8 particles)": lambda: innovation(fresh(), known.errors),
        "all signals": lambda: verifier.verify(clips),
        "all signals without actions": lambda: verifier.verify(bare),
        "tracking": lambda: tracking_error(fresh()),
    }
    return parts | {name: partial(_alone, signal, fresh) for name, signal in signal_functions(known).items()}


def _alone(signal: Callable[[ClipBatch], object], fresh: Callable[[], ClipBatch]) -> object:
    return signal(fresh())


def _row(task: str, what: str, cores: int, part: Callable[[], object], target: float | None) -> dict[str, Any]:
    part()
    times: list[float] = []
    while len(times) < ROUNDS or sum(times) < SECONDS:
        begun = time.perf_counter()
        part()
        times.append(time.perf_counter() - begun)
    return {
        "task": task,
        "what": what,
        "cores": cores,
        "ms_per_clip": 1e3 * median(times) / CLIPS,
        "least_ms": 1e3 * min(times) / CLIPS,
        "clips_per_second": CLIPS / median(times),
        "target": target,
    }


if __name__ == "__main__":
    sys.exit(main())
