"""R2, R3, R4 and R9: how fast dreams go on, against committing apart, rolling the window, and dreaming one by one.

Time is that of the dynamics; heads and tokenizer are left out.

# B dreams, S denoising steps
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

import torch

from .dreams import Dreams
from .models import random_dynamics
from .plan import Plan
from .rows import Point, Row, largest_difference, line, ratio, relative
from .timing import bytes_in_use, timed

STEPS = (1, 4)
LAZY_TARGET = {"cpu": 1.25, "cuda": 1.5}  # of one denoising step
TOGETHER, TOGETHER_TARGET = 64, {"cpu": 3.0, "cuda": 5.0}
THROUGHPUT = {("cpu", "small", 16, 4): 100.0, ("cuda", "base", 1024, 1): 80e3, ("cuda", "base", 1024, 4): 30e3}
"""Frames a second, of a CPU a core; by device, preset, B and S."""

ROLLED_TARGET = {("cuda", 1024): 1.3}
FULL = "float32"
EARLY = 100
SLOWER = 1.05
"""A late frame may take so many times as long as an early one."""


def lazy_commit(plan: Plan) -> Iterator[Row | Point]:
    """R2: the finished frame's keys ride along with the next frame's first pass, against a pass of their own."""
    for preset, rows in plan.settings():
        network = random_dynamics(preset, device=plan.device)
        for steps in STEPS:
            eager, lazy = (Dreams(network, rows, steps, lazy=wanted) for wanted in (False, True))
            error = largest_difference(eager.latent, lazy.latent)
            yield ratio(
                plan, "R2", "lazy against eager commit", f"{preset}, B={rows}, S={steps}", eager.step, lazy.step,
                target=LAZY_TARGET[plan.device] if steps == 1 else None, error=error,
            )  # fmt: skip


def ring_slots(plan: Plan) -> Iterator[Row | Point]:
    """R3: a frame is written into its slot of the ring, against a window that is cloned and moved up for it."""
    for preset, rows in plan.settings():
        network = random_dynamics(preset, device=plan.device)
        rolled, ring = (Dreams(network, rows, 1, memory=memory) for memory in ("rolled", "ring"))
        row = ratio(
            plan, "R3", "ring against clone and roll", f"{preset}, B={rows}, S=1", rolled.step, ring.step,
            target=ROLLED_TARGET.get((plan.device, rows)), error=largest_difference(rolled.latent, ring.latent),
        )  # fmt: skip
        yield row
        yield Point("batch", preset, "clone and roll, S=1", rows, rows / row["plain"] * 1e3)


def throughput(plan: Plan) -> Iterator[Row | Point]:
    """R4: frames a second of many dreams, and that a dream costs as much at its end as at its beginning.

    On a GPU also with products in bfloat16.
    """
    for preset, rows in plan.settings():
        network = random_dynamics(preset, device=plan.device)
        for steps in STEPS:
            dreams = Dreams(network, rows, steps)
            yield from _frames_a_second(plan, preset, dreams, FULL, dreams.step, None)
    yield from late_frames(plan)
    if plan.device == "cuda":
        for preset, rows in plan.settings():
            for steps in STEPS:
                yield from in_half(plan, preset, rows, steps)


def in_half(plan: Plan, preset: str, rows: int, steps: int) -> Iterator[Row | Point]:
    """Dreams whose products are made in bfloat16, and how far their latents are from those in float32."""
    network = random_dynamics(preset, device=plan.device)
    exact = Dreams(network, rows, steps).latent
    dreams = Dreams(network, rows, steps, lead=0)

    def step() -> None:
        with torch.autocast(plan.device, torch.bfloat16):
            dreams.step()

    for _ in range(network.config.window):
        step()
    error = relative(dreams.latent, exact)
    yield from _frames_a_second(plan, preset, dreams, "bf16 autocast", step, error)


def one_batch(plan: Plan) -> Iterator[Row | Point]:
    """R9: one forward of many dreams against as many forwards of one."""
    for preset, batches in plan.batches.items():
        rows = TOGETHER if TOGETHER in batches else max(batches)
        network = random_dynamics(preset, device=plan.device)
        together, alone = Dreams(network, rows, 1), Dreams(network, 1, 1)

        def each(alone: Dreams = alone, rows: int = rows) -> None:
            for _ in range(rows):
                alone.step()

        error = largest_difference(together.latent[:1], alone.latent)
        setting, target = f"{preset}, B={rows}, S=1", TOGETHER_TARGET[plan.device] if rows == TOGETHER else None
        row = ratio(plan, "R9", "one batch of dreams", setting, each, together.step, target=target, error=error)
        yield row
        for each_rows in (1, rows):
            yield Point("batch", preset, "one by one, S=1", each_rows, rows / row["plain"] * 1e3)


def _frames_a_second(
    plan: Plan, preset: str, dreams: Dreams, dtype: str, step: Callable[[], object], error: float | None
) -> Iterator[Row | Point]:
    (rows, steps), times = dreams.noise.shape[:2], timed({"ours": step}, seconds=plan.seconds, device=plan.device)
    each, unit = (torch.get_num_threads(), "frames/s per core") if plan.device == "cpu" else (1, "frames/s")
    rates = [rows / ms * 1e3 for ms in times["ours"]]
    yield line(
        "R4", "frames dreamed", f"{preset}, B={rows}, S={steps}, {dtype}", [rate / each for rate in rates], unit=unit,
        ours=median(times["ours"]), target=THROUGHPUT.get((plan.device, preset, rows, steps)), error=error,
    )  # fmt: skip
    name = f"cached, S={steps}" if dtype == FULL else f"cached, S={steps}, {dtype}"
    yield Point("batch", preset, name, rows, median(rates))


def late_frames(plan: Plan) -> Iterator[Row | Point]:
    """A dream's step at frame `plan.frames` against one at frame 100, and its memory."""
    preset = next(iter(plan.batches))
    network = random_dynamics(preset, device=plan.device)
    late, marks, held = Dreams(network, 1, 1, lead=0), _marks(plan.frames), {}
    for mark in marks:
        while late.frames < mark:
            late.step()
        times = timed({"ours": late.step}, seconds=plan.seconds / 10, device=plan.device)
        held[mark] = bytes_in_use(plan.device)
        yield Point("frames", preset, "cached", mark, median(times["ours"]))
    first, last = held.get(EARLY, held[marks[0]]), held[marks[-1]]
    yield line(
        "R4", "a late frame's memory", f"{preset}, B=1, S=1, whole process", [last / first],
        target=SLOWER, at_most=True, plain=last, ours=first,
    )  # fmt: skip
    early = Dreams(network, 1, 1, lead=min(EARLY, plan.frames))
    setting = f"{preset}, B=1, S=1, frame {plan.frames:,} against {early.frames}"
    times = timed({"plain": late.step, "ours": early.step}, seconds=plan.seconds, device=plan.device)
    ratios = [a / b for a, b in zip(times["plain"], times["ours"], strict=True)]
    sides = {side: median(values) for side, values in times.items()}
    yield line("R4", "a late frame's time", setting, ratios, target=SLOWER, at_most=True, **sides)


def _marks(frames: int) -> list[int]:
    """1, 10, 100, ... and `frames`."""
    marks = [1]
    while marks[-1] * 10 < frames:
        marks.append(marks[-1] * 10)
    return [*marks, frames]
