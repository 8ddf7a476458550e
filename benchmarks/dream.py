"""Measures dream steps a second against steps of the real task with its camera, on the same cores in turn.

`python -m benchmarks.dream` writes benchmarks/dream.json. The models are really trained, though briefly: what they
have learned decides how often episodes end, and nothing else here depends on their weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import torch

from agents.bench.timing import spread
from agents.machine import cores
from agents.recording.record import record
from agents.speed import DreamSteps, RealSteps, steps_a_second
from wmenv import WorldModel
from wmenv.presets import preset_named
from wmenv.train import train

from .common import Value, write

TASK = "wmenv/Hopper-v0"
TARGET, AT = 5.0, 256  # so many times as fast with so many dreams
BATCHES = (1, 16, 64, 256, 1024)
SIZES = ("nano", "tiny")  # presets that are meant for two cores
REAL = "real", 0

Side = tuple[str, int]  # a preset and its number of dreams, or REAL


def brief_models(task: str, folder: Path, *, steps: int = 2000, updates: int = 50) -> dict[str, WorldModel]:
    """A frame model of each preset's sizes, after `updates` updates of each of its two stages."""
    record(task, steps, "random", folder / "data", progress=False)
    models = {}
    for name in SIZES:
        sizes = dataclasses.replace(preset_named(name), vae_steps=updates, steps=updates)
        models[name] = train(folder / "data", folder / name, preset=sizes, device="cpu")
    return models


def measure(
    task: str,
    models: Mapping[str, WorldModel],
    batches: Sequence[int],
    *,
    rounds: int,
    seconds: float,
    processes: int,
) -> dict[Side, list[float]]:
    """Steps a second in each round, of the real task and of as many dreams of each model as each of `batches` says."""
    sides: dict[Side, RealSteps | DreamSteps] = {REAL: RealSteps(task, next(iter(models.values())), processes)}
    rates: dict[Side, list[float]] = {}
    try:
        sides |= {(name, batch): DreamSteps(model, batch) for name, model in models.items() for batch in batches}
        for _ in range(rounds):
            for key, side in sides.items():
                rates.setdefault(key, []).append(steps_a_second(side.step, seconds))
                side.pause()
    finally:
        for side in sides.values():
            side.close()
    return rates


def table(rates: Mapping[Side, Sequence[float]]) -> list[dict[str, Value]]:
    """One row for each preset and number of dreams; ratios are taken within a round."""
    rows: list[dict[str, Value]] = []
    for key in [key for key in rates if key != REAL]:
        preset, num_dreams = key
        ratios = [dream / real for dream, real in zip(rates[key], rates[REAL], strict=True)]
        low, high = spread(ratios)
        aimed = num_dreams == AT
        rows.append(
            {
                "preset": preset,
                "num_dreams": num_dreams,
                "dream_steps_per_second": median(rates[key]),
                "real_steps_per_second": median(rates[REAL]),
                "ratio": median(ratios),
                "ratio_low": low,
                "ratio_high": high,
                "target": TARGET if aimed else None,
                "reached": median(ratios) >= TARGET if aimed else None,
            }
        )
    return rows


def main() -> None:
    """Train the models in a temporary folder, measure, print a line for each number of dreams, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each side in each round")
    parser.add_argument("--cores", type=int, default=cores(), help="threads of torch, and processes of the real task")
    options = parser.parse_args()
    torch.set_num_threads(options.cores)
    with tempfile.TemporaryDirectory() as folder:
        models = brief_models(TASK, Path(folder))
        rates = measure(TASK, models, BATCHES, rounds=options.rounds, seconds=options.seconds, processes=options.cores)
    rows = table(rates)
    for row in rows:
        line = "  ".join(f"{key} {value:,.4g}" for key, value in row.items() if isinstance(value, float))
        sys.stdout.write(f"{row['preset']}, {row['num_dreams']:5d} dreams  {line}\n")
    notes = (
        f"{TASK}: dreams of two presets from 64x64 frames, observed as latents, against the real task and our own "
        f"camera in {options.cores} processes, its frames brought to one; torch has {options.cores} threads. "
        f"Random actions, resets included. Medians of {options.rounds} rounds of {options.seconds:g} s each in turn, "
        "ratios within a round; low and high are the quartiles."
    )
    write("dream", rows, notes=notes)


if __name__ == "__main__":
    main()
