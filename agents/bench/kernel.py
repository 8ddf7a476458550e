"""R6: the Triton kernel of attention over pages against torch's ways of it, and against the memory's speed.

Only where there is a GPU. Calls follow each other without a pause, so what Python costs beside the GPU's work counts
only where it is longer.

# B rows, C pages of a row, H heads, P tokens of a frame, D head width, K = C * P + P + 1 keys
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch
from torch import Tensor

from kernels import codec_named, paged_attention, paged_attention_reference
from wmenv import InputError

from .plan import Plan
from .rows import Point, Row, largest_difference, line, ratio
from .timing import timed

HEADS, TOKENS, WIDTH, PAGES = 8, 16, 64, 16
CODECS = ("bf16", "int8", "int4")
CHECKED = 4
"""Rows that the oracle also does, in float64 and one by one."""

SPEED_TARGET, BOUND_TARGET = 1.5, 0.7
FROM = 1024
"""Rows from which targets hold: fewer fit into the GPU's own cache, which is faster than its memory."""

COPIED = 2**30
SWITCH = "WMENV_KERNELS"


def own_kernel(plan: Plan) -> Iterator[Row | Point]:
    """R6, of one layer's attention in bfloat16.

    Raises:
        InputError: there is no GPU to measure.
    """
    if plan.device != "cuda":
        raise InputError(f"only: expected ratios of {plan.device}, got R6; it needs --device cuda")
    speed = copy_speed(plan.device)
    yield line("R6", "memory's speed, by a copy", f"{COPIED / 2**30:g} GiB", [speed / 1e12], unit="TB/s")
    for rows in plan.kernel_rows:
        for codec in CODECS:
            args = drawn(codec, rows, torch.bfloat16, plan.device)
            yield from _against_torch(plan, args, codec, rows, speed)
    for rows in plan.kernel_rows:
        yield from _against_flex(plan, drawn("bf16", rows, torch.bfloat16, plan.device), rows)


def drawn(codec: str, rows: int, dtype: torch.dtype, device: str) -> dict[str, Any]:
    """Arguments of `kernels.paged_attention`: every row sees all of its pages, which no other has."""
    generator, coder, pages = torch.Generator(device).manual_seed(0), codec_named(codec, device), rows * PAGES

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device).to(dtype)

    return {
        **{name: normal(rows, HEADS, TOKENS, WIDTH) for name in ("q", "own_keys", "own_values")},
        **{name: coder.encode(normal(pages, HEADS, TOKENS, WIDTH)) for name in ("key_parts", "value_parts")},
        "table": torch.randperm(pages, generator=generator, device=device).view(rows, PAGES),
        "visible": torch.ones(rows, PAGES, dtype=torch.bool, device=device),
        **{name: normal(HEADS, WIDTH) for name in ("sink_key", "sink_value")},
        "codec": coder,
    }


def moved_bytes(args: dict[str, Any]) -> int:
    """Bytes that attention must read and write at least: pages, the frame itself, the outcome, the table."""
    held = [*args["key_parts"], *args["value_parts"], args["table"], args["visible"]]
    frames = [args["q"], args["own_keys"], args["own_values"], args["q"]]  # the outcome is as large as q
    return sum(x.nbytes for x in (*held, *frames))


def formed(form: str, args: dict[str, Any]) -> Callable[[], Tensor]:
    """A call of the op in one of its forms; see `kernels.dispatch`."""

    def call() -> Tensor:
        before = os.environ.get(SWITCH)
        os.environ[SWITCH] = form
        try:
            return paged_attention(**args)
        finally:
            os.environ.pop(SWITCH)
            if before is not None:
                os.environ[SWITCH] = before

    return call


def dense_ring(args: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, and keys and values (B, H, K, D) as a ring would hold them: pages side by side, the frame, the sink."""
    sides = []
    for parts, own, sink in (("key_parts", "own_keys", "sink_key"), ("value_parts", "own_values", "sink_value")):
        pages = args["codec"].decode(args[parts], args["q"].dtype)[args["table"]]  # (B, C, H, P, D)
        row = pages.transpose(1, 2).flatten(2, 3)
        last = args[sink][None, :, None].expand(len(row), -1, 1, -1)
        sides.append(torch.cat((row, args[own], last), dim=2))
    return args["q"], *sides


def flexible(args: dict[str, Any], *, compiled: bool = True) -> Callable[[], Tensor]:
    """FlexAttention over a ring that lies ready, with the mask that the table's visibility gives."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    q, k, v = dense_ring(args)
    tail = torch.ones(len(q), k.shape[2] - PAGES * TOKENS, dtype=torch.bool, device=q.device)
    seen = torch.cat((args["visible"].repeat_interleave(TOKENS, 1), tail), dim=1)

    def visible(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return seen[row, key]

    mask = create_block_mask(visible, len(q), None, q.shape[2], k.shape[2], device=q.device)
    attend = torch.compile(flex_attention, dynamic=False) if compiled else flex_attention
    return lambda: attend(q, k, v, block_mask=mask)


def copy_speed(device: str, size: int = COPIED) -> float:
    """Bytes a second that the memory reads and writes together while `size` bytes are copied."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    copy = torch.empty_like(source)
    times = timed({"copy": lambda: copy.copy_(source)}, seconds=0.5, device=device)["copy"]
    return 2 * size / (median(times) / 1e3)


def _against_torch(plan: Plan, args: dict[str, Any], codec: str, rows: int, speed: float) -> Iterator[Row]:
    own, torchs = formed("triton", args), formed("sdpa", args)
    setting, aimed = f"{codec}, B={rows}", rows >= FROM
    error = largest_difference(own()[:CHECKED], paged_attention_reference(**_first_rows(args, CHECKED)))
    row = ratio(
        plan, "R6", "against gather and SDPA", setting, torchs, own,
        target=SPEED_TARGET if aimed else None, error=error,
    )  # fmt: skip
    yield row
    bound = moved_bytes(args) / speed * 1e3
    yield line(
        "R6", "share of the memory's bound", setting, [bound / row["ours"]], unit="of the bound",
        plain=bound, ours=row["ours"], target=BOUND_TARGET if aimed else None,
    )  # fmt: skip


def _against_flex(plan: Plan, args: dict[str, Any], rows: int) -> Iterator[Row]:
    own, flex = formed("triton", args), flexible(args)
    error = largest_difference(flex(), own())
    yield ratio(
        plan, "R6", "against FlexAttention over a ring", f"bf16, B={rows}", flex, own,
        target=SPEED_TARGET if rows >= FROM else None, error=error,
    )  # fmt: skip


def _first_rows(args: dict[str, Any], rows: int) -> dict[str, Any]:
    by_row = ("q", "own_keys", "own_values", "table", "visible")
    return {name: value[:rows] if name in by_row else value for name, value in args.items()}
