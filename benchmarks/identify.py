"""Measures how well a hidden world is found from clips of it, and what a world for every row costs.

`python -m benchmarks.identify` writes benchmarks/identify.json: clips are recorded in `physics.worlds.data.DATA_WORLD`,
of which identification knows nothing, with and without errors of the states.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from typing import Any

from physics.clips.noise import add_noise, spread_of
from physics.clips.real import record_clips
from physics.identify import PARAMETERS, identify
from physics.mechanics.control_model import control_model
from physics.mechanics.simulator import Simulator
from physics.worlds import ensemble
from physics.worlds.data import DATA_WORLD

from .common import write

TASKS = ("InvertedPendulum", "Reacher", "Hopper", "HalfCheetah", "Walker2d")
NOISE = (0.0, 0.01)  # standard deviation of every coordinate's error, in its standard deviation over all frames
CLIPS, FRAMES, SEED = 48, 32, 5
ROWS = 512


def measure(name: str, noise: float) -> list[dict[str, Any]]:
    """A row for each parameter of one task at one noise."""
    task = f"wmenv/{name}-v0"
    clips = record_clips(task, CLIPS, FRAMES, seed=SEED, world=DATA_WORLD)
    clips = add_noise(clips, noise, spread_of(clips), SEED)
    began = time.process_time()
    found = identify(clips, task, threads=1)
    seconds = time.process_time() - began
    free = {p for group in found.undetermined for p in group}
    return [
        {
            "task": task,
            "noise": noise,
            "parameter": parameter,
            "true": getattr(DATA_WORLD, parameter),
            "before": getattr(found.start, parameter),
            "after": getattr(found.world, parameter),
            "std": found.std[parameter] if math.isfinite(found.std[parameter]) else None,
            "determined": parameter not in free,
            "replay_error_before": found.error_before,
            "replay_error_after": found.error_after,
            "cpu_seconds": seconds,
        }
        for parameter in PARAMETERS
    ]


def cost_of_worlds(name: str) -> str:
    """Processor seconds to give each of many rows a world: expanded in one batch, or as models of their own."""
    m, worlds = control_model(f"wmenv/{name}-v0"), ensemble(ROWS)
    start = time.process_time()
    Simulator(m, ROWS, 1, worlds=worlds)
    expanded = time.process_time() - start
    start = time.process_time()
    models = []
    for world in worlds:
        model = m.model.__copy__()
        world.apply(model)
        models.append(replace(m, model=model))
    Simulator(models, ROWS, 1)
    return f"{name} {expanded:.3g} s expanded, {time.process_time() - start:.3g} s as models"


def main() -> None:
    """Measures every task at every noise, says so line by line, and writes the table."""
    rows = []
    for name in TASKS:
        for noise in NOISE:
            rows += measure(name, noise)
            for row in rows[-len(PARAMETERS) :]:
                sys.stdout.write("  ".join(f"{key} {value}" for key, value in row.items()) + "\n")
            sys.stdout.flush()
    costs = "; ".join(cost_of_worlds(name) for name in ("Hopper", "HalfCheetah"))
    notes = (
        f"{CLIPS} clips of {FRAMES} frames from the data world; noise in spreads of each coordinate; replay error: "
        "median over 8-step stretches of the RMS in spreads. std null: nothing known; determined false: it, or a "
        "common scale of it and others, stayed at the start (friction where nothing touches; Reacher's mass beside its "
        "armature; the common scale of mass, damping and gear of InvertedPendulum, which changes no motion: only their "
        f"ratios are found). {ROWS} worlds cost: {costs}."
    )
    write("identify", rows, notes=notes)


if __name__ == "__main__":
    main()
