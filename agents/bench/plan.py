"""What is measured on which device: sizes of networks, numbers of dreams, and how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from wmenv import InputError

RATIOS = {
    "R1": "a step over the cache against recomputing the window",
    "R2": "lazy commit against a pass of its own",
    "R3": "ring slots against clone and roll",
    "R4": "batch throughput",
    "R5": "one dream, frame shown",
    "R6": "own GPU kernel against torch",
    "R7": "shared prefix against copies",
    "R8": "keys and values in few bits",
    "R9": "one batch against one dream after another",
    "R10": "resets in a tenth of the rows",
    "R12": "dreams out of step against all together",
}
"""What each ratio says, by its id."""

GPU_ONLY = frozenset({"R6"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One run's settings.

    Attributes:
        device: "cpu" or "cuda".
        batches: Numbers of dreams by the preset that gives the network's sizes.
        windows: Frames that a step over the cache remembers, besides the preset's own.
        frames: How far one dream goes on to show that a step costs the same at its end.
        shared_rows: Rows that share a prefix.
        kernel_rows: Rows of attention by the GPU's own kernel.
        seconds: About so long for each comparison.
    """

    device: str
    batches: Mapping[str, tuple[int, ...]]
    windows: tuple[int, ...]
    frames: int
    shared_rows: tuple[int, ...]
    kernel_rows: tuple[int, ...]
    seconds: float

    def __post_init__(self) -> None:
        if self.device not in ("cpu", "cuda"):
            raise InputError(f"device: expected 'cpu' or 'cuda', got {self.device!r}; choose one of them")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("device: expected a CUDA GPU for 'cuda', got none; use 'cpu'")

    def settings(self) -> Iterator[tuple[str, int]]:
        """Presets, each with its numbers of dreams."""
        for preset, batches in self.batches.items():
            yield from ((preset, rows) for rows in batches)


def plan_for(device: str, *, quick: bool) -> Plan:
    """The full run on a device, or a quick one that shows that all works.

    Raises:
        InputError: there is no such device.
    """
    if device == "cuda":
        # KV of 1,024 dreams of "base" is 14 GB in float32, and comparisons hold it twice.
        return Plan(
            device="cuda",
            batches={"base": (1, 64)} if quick else {"base": (1, 16, 64, 256, 1024)},
            windows=(),
            frames=200 if quick else 2_000,
            shared_rows=(64,) if quick else (64, 256, 1024),
            kernel_rows=(64,) if quick else (64, 256, 1024, 4096),
            seconds=0.3 if quick else 1.5,
        )
    batches = {"tiny": (1, 16)} if quick else {"tiny": (1, 16, 64, 256), "small": (1, 16, 64)}
    return Plan(
        device=device,
        batches=batches,
        windows=() if quick else (6, 32, 64),
        frames=200 if quick else 10_000,
        shared_rows=(64,) if quick else (64, 128, 256),
        kernel_rows=(),
        seconds=0.3 if quick else 3.0,
    )
