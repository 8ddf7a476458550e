"""What every benchmark shares: how a rate is measured, and how a result is stored with its command and hardware."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from agents.machine import hardware, versions

FOLDER = Path(__file__).parent

Value = str | float | int | bool | None


def write(name: str, rows: Sequence[Mapping[str, Value]], *, notes: str = "", folder: Path = FOLDER) -> Path:
    """Stores `rows` as `folder/name.json` beside the command, the hardware and the versions that made them.

    No date and no path of this machine enters the file; floats keep four significant digits, so that a rerun
    changes only what was measured.

    Args:
        name: The benchmark's name, which is its module's.
        rows: Flat records, one a line of the table; the first row's keys are its columns.
        notes: One sentence that a reader needs beside the table.
        folder: Where the file goes.

    Returns:
        The file's path.
    """
    report = {
        "name": name,
        "command": " ".join(["python -m", f"benchmarks.{name}", *sys.argv[1:]]),
        "hardware": hardware(),
        "versions": versions(),
        "notes": notes,
        "rows": [{key: _rounded(value) for key, value in row.items()} for row in rows],
    }
    path = folder / f"{name}.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path


def append_result(
    name: str, *, task: str, seed: int, begun: float, folder: Path = FOLDER.parent / "results", **more: Any
) -> Path:
    """Appends one finished run to results/`name`.jsonl, from which tables are made; see results/README.md.

    Args:
        name: The benchmark's name, which is its module's and the file's.
        task: The task's id.
        seed: The run's seed.
        begun: When the run began, by `time.monotonic`.
        folder: Where the file lies.
        **more: What was measured, as JSON values.

    Returns:
        The file's path.
    """
    import torch  # here, since not every benchmark that stores something needs it

    row = {
        "task": task,
        "seed": seed,
        **more,
        "threads": torch.get_num_threads(),
        "wall_seconds": round(time.monotonic() - begun),
        "command": f"python -m benchmarks.{name}",
        "hardware": hardware(),
        "versions": versions(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, allow_nan=False) + "\n")
    return path


def rate(function: Callable[[], object], *, units: int = 1, seconds: float = 2.0, repeats: int = 5) -> float:
    """How many units `function` does per second: the median of `repeats` timed stretches after one warm-up call.

    Args:
        function: Called without arguments; each call does `units` units of work.
        units: Units per call, for instance the number of environments that one step moves.
        seconds: Wall time of all stretches together.
        repeats: Number of stretches.

    Returns:
        Units per second.
    """
    function()
    rates = []
    for _ in range(repeats):
        calls, start = 0, time.perf_counter()
        while calls == 0 or time.perf_counter() - start < seconds / repeats:
            function()
            calls += 1
        rates.append(calls * units / (time.perf_counter() - start))
    return median(rates)


def in_turn(
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    calls: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Milliseconds per call of each side in every round, after one round that warms up.

    Args:
        sides: What is compared; in each round every side runs `calls` calls, one side after the other.
        rounds: Rounds that count.
        calls: Calls of a side in a round.
        clock: Seconds; processor time is not stretched by a busy machine.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, side in sides.items():
            start = clock()
            for _ in range(calls):
                side()
            times[name].append((clock() - start) / calls * 1e3)
    return {name: values[1:] for name, values in times.items()}


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The lower and the upper quartile; of one value, itself twice."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


def _rounded(value: Value) -> Value:
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise ValueError(f"benchmark value: expected a finite number, got {value}; mend the measurement")
    return float(f"{value:.4g}")
