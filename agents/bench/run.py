"""Measures the ratios, a process each, and keeps what was measured with its hardware, versions and command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch

from wmenv import InputError, memory

from ..machine import cores
from . import attention, kernel, latency, ragged, resets, stepping, window
from .page import write_page
from .plan import GPU_ONLY, RATIOS, Plan, plan_for
from .process import MeasurementFailed, apart
from .rows import Point, Row
from .store import Store

MEASURES: Mapping[str, Callable[[Plan], Iterator[Row | Point]]] = {
    "R1": window.recomputing,
    "R2": stepping.lazy_commit,
    "R3": stepping.ring_slots,
    "R4": stepping.throughput,
    "R5": latency.one_dream,
    "R6": kernel.own_kernel,
    "R7": attention.shared_prefix,
    "R8": attention.few_bits,
    "R9": stepping.one_batch,
    "R10": resets.resets,
    "R12": ragged.ragged,
}
assert list(MEASURES) == list(RATIOS)

NOTES = (
    "x: how many times as long, or as large, the plain way is; medians of rounds in turn, low and high the quartiles. "
    "Plain and ours are milliseconds a step, or bytes. Error: largest difference between the two ways' outcomes; of "
    "few bits, relative to what was stored exactly. Networks have random weights. R1: who recomputes the window but "
    "keeps the contexts' keys for the S passes of a frame has a cache for that frame, and is up to S times as fast as "
    "the plain side here."
)


def read_ids(only: str | None, device: str) -> list[str]:
    """The ratios that `only` names, such as "R1,R5"; by default all that the device can measure.

    Raises:
        InputError: one is unknown, or needs a GPU where none is asked for.
    """
    if only is None:
        return [name for name in RATIOS if device == "cuda" or name not in GPU_ONLY]
    wanted = [name.strip().upper() for name in only.split(",")]
    for name in wanted:
        if name not in RATIOS:
            raise InputError(f"only: expected some of {','.join(RATIOS)}, got {name!r}; write for instance R1,R5")
        if name in GPU_ONLY and device != "cuda":
            raise InputError(f"only: expected ratios of {device!r}, got {name}; it needs --device cuda")
    return [name for name in RATIOS if name in wanted]


def bench(
    out: str | Path,
    *,
    command: str,
    only: str | None = None,
    device: str = "cpu",
    quick: bool = False,
    say: Callable[[str], None],
) -> dict[str, str]:
    """Measures, and writes `out/<device>.json` and `out/bench.html` after every ratio.

    Args:
        out: Folder, made if need be. A page shows what both devices' files there hold.
        command: What a reader types to repeat it.
        only: Ids of ratios, with commas between them, whose rows take the place of older ones in `out`; by default all.
        device: "cpu" or "cuda".
        quick: Small sizes and few rounds, to see that all works.
        say: Called with a line for each row.

    Returns:
        What failed, by ratio, and why.

    Raises:
        InputError: a ratio is unknown, the device is not there, or `out` holds what another machine measured and would
            be mixed with this one's.
    """
    plan, wanted = plan_for(device, quick=quick), read_ids(only, device)
    others = [] if only is None else [name for name in RATIOS if name not in wanted]
    store = Store.opened(Path(out), device, command, keep=others)
    for name in wanted:
        say(f"{name}: {RATIOS[name]}")
        try:
            for item in apart(measure, name, plan):
                if isinstance(item, Point):
                    store.points.append((name, *item))
                else:
                    store.rows.append(item)
                    say(f"  {told(item)}")
        except MeasurementFailed as error:
            store.failed[name] = str(error)
            say(f"  failed: {error}")
        store.write(f"{NOTES} torch has {cores()} threads.", list(RATIOS))
        write_page(store.folder)
    return {name: why for name, why in store.failed.items() if name in wanted}


def measure(name: str, plan: Plan) -> Iterator[Row | Point]:
    """One ratio in this process."""
    torch.set_num_threads(cores())
    torch.manual_seed(0)
    if plan.device == "cuda":
        torch.set_float32_matmul_precision("high")  # tf32, for both sides
    memory.keep_freed_memory()
    with torch.no_grad():
        yield from MEASURES[name](plan)


def told(row: Row) -> str:
    """A row in one line."""
    aim = "" if row["target"] is None else f", target {row['target']}{'' if row['reached'] else ', not reached'}"
    error = "" if row["error"] is None else f", error {row['error']:.2g}"
    return f"{row['part']}, {row['setting']}: {row['value']:.4g} {row['unit']}{aim}{error}"
