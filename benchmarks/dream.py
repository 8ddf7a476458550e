"""Measures dream steps a second against steps of the real task with its camera, on the same cores in turn.

`python -m benchmarks.dream` writes benchmarks/dream.json. The model is really trained, though briefly: what it
has learned decides how often episodes end, and nothing else here depends on its weights.
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


def brief_model(task: str, folder: Path, *, steps: int = 2000, updates: int = 50) -> WorldModel:
    """A frame model of the tiny preset's sizes, after `updates` updates of each of its two stages."""
    record(task, steps, "random", folder / "data", progress=False)
    sizes = dataclasses.replace(preset_named("tiny"), vae_steps=updates, steps=updates)
    return train(folder / "data", folder / "model", preset=sizes, device="cpu")


def measure(
    task: str, model: WorldModel, batches: Sequence[int], *, rounds: int, seconds: float, processes: int
) -> dict[str, list[float]]:
    """Steps a second in each round, of the "real" task and of as many dreams as each of `batches` says."""
    sides: dict[str, RealSteps | DreamSteps] = {"real": RealSteps(task, model, processes)}
    rates: dict[str, list[float]] = {}
    try:
        sides |= {str(batch): DreamSteps(model, batch) for batch in batches}
        for _ in range(rounds):
            for name, side in sides.items():
                rates.setdefault(name, []).append(steps_a_second(side.step, seconds))
                side.pause()
    finally:
        for side in sides.values():
            side.close()
    return rates


def table(rates: Mapping[str, Sequence[float]]) -> list[dict[str, Value]]:
    """One row for each number of dreams; ratios are taken within a round."""
    rows: list[dict[str, Value]] = []
    for name in [name for name in rates if name != "real"]:
        ratios = [dream / real for dream, real in zip(rates[name], rates["real"], strict=True)]
        low, high = spread(ratios)
        aimed = int(name) == AT
        rows.append(
            {
                "num_dreams": int(name),
                "dream_steps_per_second": median(rates[name]),
                "real_steps_per_second": median(rates["real"]),
                "ratio": median(ratios),
                "ratio_low": low,
                "ratio_high": high,
                "target": TARGET if aimed else None,
                "reached": median(ratios) >= TARGET if aimed else None,
            }
        )
    return rows


def main() -> None:
    """Train a model in a temporary folder, measure, print a line for each number of dreams, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each side in each round")
    parser.add_argument("--cores", type=int, default=cores(), help="threads of torch, and processes of the real task")
    options = parser.parse_args()
    torch.set_num_threads(options.cores)
    with tempfile.TemporaryDirectory() as folder:
        model = brief_model(TASK, Path(folder))
        rates = measure(TASK, model, BATCHES, rounds=options.rounds, seconds=options.seconds, processes=options.cores)
    rows = table(rates)
    for row in rows:
        line = "  ".join(f"{key} {value:,.4g}" for key, value in row.items() if isinstance(value, float))
        sys.stdout.write(f"{row['num_dreams']:5d} dreams  {line}\n")
    notes = (
        f"{TASK}: dreams of the tiny preset from 64x64 frames, observed as latents, against the real task and our own "
        f"camera in {options.cores} processes, its frames brought to one; torch has {options.cores} threads. "
        f"Random actions, resets included. Medians of {options.rounds} rounds of {options.seconds:g} s each in turn, "
        "ratios within a round; low and high are the quartiles."
    )
    write("dream", rows, notes=notes)


if __name__ == "__main__":
    main()
