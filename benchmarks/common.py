"""What every benchmark shares: how a rate is measured, and how a result is stored with its command and hardware."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from agents.bench import store
from agents.machine import hardware, versions
from agents.rows import append_row
from wmenv import atomic

FOLDER = Path(__file__).parent
REPEATS = 5

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
    command = " ".join(["python -m", f"benchmarks.{name}", *sys.argv[1:]])
    path = folder / f"{name}.json"
    atomic.write_json(path, store.report(name, command, notes, rows))
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
    path = folder / f"{name}.jsonl"
    append_row(path, row)
    return path


def rate(function: Callable[[], object], *, units: int = 1, seconds: float = 2.0) -> float:
    """How many units `function` does per second: the median of `REPEATS` timed stretches after one warm-up call.

    Args:
        function: Called without arguments; each call does `units` units of work.
        units: Units per call, for instance the number of environments that one step moves.
        seconds: Wall time of all stretches together.

    Returns:
        Units per second.
    """
    function()
    rates = []
    for _ in range(REPEATS):
        calls, start = 0, time.perf_counter()
        while calls == 0 or time.perf_counter() - start < seconds / REPEATS:
            function()
            calls += 1
        rates.append(calls * units / (time.perf_counter() - start))
    return median(rates)
