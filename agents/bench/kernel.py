"""R6: the Triton kernel of attention over pages against torch's ways of it, and against the memory's speed.

Only where there is a GPU. Calls follow each other without a pause, so what Python costs beside the GPU's work counts
only where it is longer.

# B rows, C pages of a row, H heads, P tokens of a frame, D head width, K = C * P + P + 1 keys
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from statistics import median

import torch
from torch import Tensor

from kernels import PagedFrame, codec_named, paged_attention, paged_attention_reference
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
            frame = drawn(codec, rows, torch.bfloat16, plan.device)
            yield from _against_torch(plan, frame, codec, rows, speed)
    for rows in plan.kernel_rows:
        yield from _against_flex(plan, drawn("bf16", rows, torch.bfloat16, plan.device), rows)


def drawn(codec: str, rows: int, dtype: torch.dtype, device: str) -> PagedFrame:
    """What `kernels.paged_attention` takes: every row sees all of its pages, which no other has."""
    generator, coder, pages = torch.Generator(device).manual_seed(0), codec_named(codec, device), rows * PAGES

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device).to(dtype)

    q, own_keys, own_values = (normal(rows, HEADS, TOKENS, WIDTH) for _ in range(3))
    key_parts, value_parts = (coder.encode(normal(pages, HEADS, TOKENS, WIDTH)) for _ in range(2))
    return PagedFrame(
        q, own_keys, own_values, key_parts, value_parts,
        table=torch.randperm(pages, generator=generator, device=device).view(rows, PAGES),
        visible=torch.ones(rows, PAGES, dtype=torch.bool, device=device),
        sink_key=normal(HEADS, WIDTH),
        sink_value=normal(HEADS, WIDTH),
        codec=coder,
    )  # fmt: skip


def moved_bytes(frame: PagedFrame) -> int:
    """Bytes that attention must read and write at least: pages, the frame itself, the outcome, the table."""
    held = [*frame.key_parts, *frame.value_parts, frame.table, frame.visible]
    frames = [frame.q, frame.own_keys, frame.own_values, frame.q]  # the outcome is as large as q
    return sum(x.nbytes for x in (*held, *frames))


def formed(form: str, frame: PagedFrame) -> Callable[[], Tensor]:
    """A call of the op in one of its forms; see `kernels.dispatch`."""

    def call() -> Tensor:
        before = os.environ.get(SWITCH)
        os.environ[SWITCH] = form
        try:
            return paged_attention(frame)
        finally:
            os.environ.pop(SWITCH)
            if before is not None:
                os.environ[SWITCH] = before

    return call


def dense_ring(frame: PagedFrame) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, and keys and values (B, H, K, D) as a ring would hold them: pages side by side, the frame, the sink."""
    sides = []
    for side in frame.sides:
        pages = side.codec.decode(side.parts, frame.q.dtype)[frame.table]  # (B, C, H, P, D)
        row = pages.transpose(1, 2).flatten(2, 3)
        last = side.sink[None, :, None].expand(len(row), -1, 1, -1)
        sides.append(torch.cat((row, side.own, last), dim=2))
    return frame.q, *sides


def flexible(frame: PagedFrame, *, compiled: bool = True) -> Callable[[], Tensor]:
    """FlexAttention over a ring that lies ready, with the mask that the table's visibility gives."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    q, k, v = dense_ring(frame)
    tail = torch.ones(len(q), k.shape[2] - PAGES * TOKENS, dtype=torch.bool, device=q.device)
    seen = torch.cat((frame.visible.repeat_interleave(TOKENS, 1), tail), dim=1)

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


def _against_torch(plan: Plan, frame: PagedFrame, codec: str, rows: int, speed: float) -> Iterator[Row]:
    own, torchs = formed("triton", frame), formed("sdpa", frame)
    setting, aimed = f"{codec}, B={rows}", rows >= FROM
    error = largest_difference(own()[:CHECKED], paged_attention_reference(_first_rows(frame, CHECKED)))
    row = ratio(
        plan, "R6", "against gather and SDPA", setting, torchs, own,
        target=SPEED_TARGET if aimed else None, error=error,
    )  # fmt: skip
    yield row
    bound = moved_bytes(frame) / speed * 1e3
    yield line(
        "R6", "share of the memory's bound", setting, [bound / row["ours"]], unit="of the bound",
        plain=bound, ours=row["ours"], target=BOUND_TARGET if aimed else None,
    )  # fmt: skip


def _against_flex(plan: Plan, frame: PagedFrame, rows: int) -> Iterator[Row]:
    own, flex = formed("triton", frame), flexible(frame)
    error = largest_difference(flex(), own())
    yield ratio(
        plan, "R6", "against FlexAttention over a ring", f"bf16, B={rows}", flex, own,
        target=SPEED_TARGET if rows >= FROM else None, error=error,
    )  # fmt: skip


def _first_rows(frame: PagedFrame, rows: int) -> PagedFrame:
    by_row = ("q", "own_keys", "own_values", "table", "visible")
    return frame._replace(**{name: getattr(frame, name)[:rows] for name in by_row})
