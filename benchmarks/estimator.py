"""Measures how exactly states are read from frames, on clips that neither training nor calibration ever saw.

`python -m benchmarks.estimator` reads with the estimators that come with the package and writes
benchmarks/estimator.json.
"""

from __future__ import annotations

import sys

import numpy as np

from physics.clips.real import record_clips
from physics.estimator import StateEstimator
from physics.estimator.build import film
from physics.estimator.held_out import Film, measure
from physics.estimator.scenes import Scene
from physics.estimator.training import disturbed

from .common import Value, rate, write

TASKS = ("wmenv/InvertedPendulum-v0", "wmenv/Reacher-v0", "wmenv/Hopper-v0", "wmenv/HalfCheetah-v0")
CLIPS = 100
FRAMES = 32
SEED = 7_000


def measured(task: str) -> list[dict[str, Value]]:
    """One row a coordinate of `task`."""
    estimator, rng = StateEstimator.shipped(task), np.random.default_rng(SEED)
    with Scene(task) as scene:
        held = film(scene, record_clips(task, CLIPS, FRAMES, seed=SEED), rng)
    above = float(np.mean(np.concatenate(estimator.read_many(held.frames)[1]) > 1))
    wrong = film_of_dreams(held, rng)
    speed = rate(lambda: estimator.read(held.frames[0]), units=FRAMES, seconds=1.0)
    return [
        {
            "task": task,
            "coordinate": row.name,
            "unit": row.unit,
            "rms": row.rms,
            "rms_at_ends": row.ends,
            "rms_without_filter": row.plain,
            "rms_disturbed": worse.rms,
            "spread": row.spread,
            "r2": row.r2,
            "unseen": row.name in estimator.unseen,
            "disagreement_above_1": above,
            "frames_per_second": speed,
        }
        for row, worse in zip(measure(estimator, held), measure(estimator, wrong), strict=True)
    ]


def film_of_dreams(held: Film, rng: np.random.Generator) -> Film:
    """The same clips in frames with noise, another brightness, and here and there a blur."""
    return Film(held.clips, [disturbed(frames, rng) for frames in held.frames])


def main() -> None:
    """Measure every task, print a line for each coordinate, and write the table."""
    rows: list[dict[str, Value]] = []
    for task in TASKS:
        rows += measured(task)
        for row in (row for row in rows if row["task"] == task):
            sys.stdout.write(f"{task:28s}{row['coordinate']:20s}{row['rms']:10.4g} {row['unit']:6s}{row['r2']:8.4f}\n")
    notes = (
        f"{CLIPS} clips of {FRAMES} frames with random actions; ends are a clip's first and last frame. rms"
        " is over the whole clip, angles but for whole turns and places under a following camera but for whole blocks."
    )
    write("estimator", rows, notes=notes)


if __name__ == "__main__":
    main()
