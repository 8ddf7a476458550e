"""How two ways of doing one thing are timed: in turn, in many short rounds, so that a busy machine slows both alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import quantiles

import torch

ROUNDS = 15
"""Most rounds of a comparison; each is long enough for its clock."""

LEAST_ROUNDS = 3


def clock_of(device: str) -> Callable[[], float]:
    """Seconds on a clock that waits until `device` has done what it was given."""
    if device == "cpu":
        return time.perf_counter

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return clock


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


def timed(sides: Mapping[str, Callable[[], object]], *, seconds: float, device: str) -> dict[str, list[float]]:
    """Milliseconds per call of each side in every round; as many rounds as fit into about `seconds` together."""
    clock = clock_of(device)
    first = in_turn(sides, rounds=1, calls=1, clock=clock)
    together = sum(times[0] for times in first.values()) / 1e3
    calls = max(1, int(seconds / ROUNDS / together))
    rounds = max(LEAST_ROUNDS, min(ROUNDS, int(seconds / (calls * together))))
    return in_turn(sides, rounds=rounds, calls=calls, clock=clock)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The lower and the upper quartile; of one value, itself twice."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


def bytes_in_use(device: str) -> float:
    """Bytes that this process holds on a GPU, or of the machine's memory; where that is not known, the most it held."""
    if device == "cuda":
        return float(torch.cuda.memory_allocated())
    pages = Path("/proc/self/statm")
    if pages.exists():
        return float(pages.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
