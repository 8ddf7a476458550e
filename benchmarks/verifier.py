"""What the verifier costs: clips a second for the replay battery, milliseconds a clip for every signal, threads.

`python -m benchmarks.verifier` writes benchmarks/verifier.json. Clips of 32 frames, 64 at a time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from benchmarks.common import write
from physics import MotionVerifier, record_clips
from physics.clip_batch import ClipBatch
from physics.control_model import control_model
from physics.measure import signal_functions
from physics.signals import innovation, replay_errors

TASKS = ("wmenv/InvertedPendulum-v0", "wmenv/Hopper-v0", "wmenv/HalfCheetah-v0")
CLIPS, FRAMES, ROUNDS = 64, 32, 3
TARGET = 300.0  # Hopper clips a second for the replay battery


def main() -> int:
    """Measures and writes."""
    rows = []
    for task in TASKS:
        m, verifier = control_model(task), MotionVerifier(task)
        noise = verifier.calibration.errors
        clips = record_clips(task, CLIPS, FRAMES, seed=91)

        def fresh(m=m, clips=clips) -> ClipBatch:
            return ClipBatch.stack(m, clips)

        parts: dict[str, Callable[[], object]] = {
            "replay battery (1, 4, 8 steps)": lambda f=fresh, n=noise: replay_errors(f(), n),
            "innovations (8 particles)": lambda f=fresh, n=noise: innovation(f(), n),
            "all signals": lambda v=verifier, c=clips: v.verify(c),
            "all signals without actions": lambda v=verifier, c=clips: v.verify([x.without_actions() for x in c]),
        }
        for name, make in signal_functions(verifier.calibration).items():
            parts[name] = lambda f=fresh, make=make: make(f())
        for name, part in parts.items():
            seconds = _seconds(part)
            row = {
                "task": task,
                "what": name,
                "ms_per_clip": 1e3 * seconds / CLIPS,
                "clips_per_second": CLIPS / seconds,
            }
            hopper = task == "wmenv/Hopper-v0" and name.startswith("replay battery")
            rows.append({**row, "target": TARGET if hopper else None})
    notes = f"{CLIPS} clips of {FRAMES} frames together, median of {ROUNDS}; {os.cpu_count()} threads in MuJoCo."
    write("verifier", rows, notes=notes)
    return 0


def _seconds(part: Callable[[], object]) -> float:
    part()
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        part()
        times.append(time.perf_counter() - begun)
    return float(np.float64(median(times)))


if __name__ == "__main__":
    sys.exit(main())
