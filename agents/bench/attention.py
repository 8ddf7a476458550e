"""R7 and R8: attention over what rows share, and keys and values in few bits: time, memory, and what is lost.

# R rows that share a prefix, B dreams, H heads, P tokens of a frame, D head width
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from kernels import Codec, Int2, codec_named, shared_prefix_attention

from .dreams import Dreams, held_bytes
from .models import random_dynamics
from .plan import Plan
from .rows import Point, Row, largest_difference, line, ratio, relative
from .timing import timed

HEADS, TOKENS, WIDTH = 8, 16, 64
SHARED, OWN = 256, 32
SHARED_TARGET = {"cpu": 1.3, "cuda": 3.0}
SHARED_MEMORY_TARGET = {"cpu": 4.0, "cuda": 8.0}
MEMORY_TARGETS = {"int8": 1.8, "int4": 3.2, "int2": 5.0}
LOUD_EVERY, LOUD = 16, 6.0
"""Every so many-th channel is so many times as large, as trained models have them."""

SAMPLES = 4096
"""Tokens by which 2 bits are fitted; others are then coded."""

CODECS = ("fp32", "bf16", "int8", "int4")
DREAMS = 16
BRANCHES = "branches just forked"
EXACT = 1e-7
"""Where a chart of errors on a log scale shows none: float32's own rounding."""


def shared_prefix(plan: Plan) -> Iterator[Row | Point]:
    """R7: attention over a prefix that R rows share, against copies of it; the copies are made beforehand."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(plan.device)

    for rows in plan.shared_rows:
        q, k, v = (normal(rows, HEADS, n, WIDTH) for n in (TOKENS, OWN, OWN))
        prefix = [normal(1, HEADS, SHARED, WIDTH) for _ in range(2)]
        seen = torch.ones(rows, OWN, dtype=torch.bool, device=plan.device)
        copies = [torch.cat((p.repeat(rows, 1, 1, 1), x), dim=2) for p, x in zip(prefix, (k, v), strict=True)]
        bytes_ = [float(sum(x.nbytes for x in held)) for held in (copies, (*prefix, k, v))]
        sides = (
            lambda q=q, copies=copies: scaled_dot_product_attention(q, *copies),
            lambda q=q, prefix=prefix, k=k, v=v, seen=seen: shared_prefix_attention(q, *prefix, k, v, seen),
        )
        error = largest_difference(sides[0](), sides[1]())
        setting = f"R={rows}, {SHARED} shared, {OWN} own tokens"
        target = SHARED_TARGET[plan.device]
        yield ratio(plan, "R7", "shared prefix against copies", setting, *sides, target=target, error=error)
        yield line(
            "R7", "bytes of keys and values", setting, [bytes_[0] / bytes_[1]],
            target=SHARED_MEMORY_TARGET[plan.device], error=error, plain=bytes_[0], ours=bytes_[1],
        )  # fmt: skip


def few_bits(plan: Plan) -> Iterator[Row | Point]:
    """R8: bytes of keys and values against bf16 and what that costs attention; then whole dreams over each codec."""
    generator = torch.Generator().manual_seed(2)

    def normal(tokens: int) -> Tensor:
        return torch.randn(1, HEADS, tokens, WIDTH, generator=generator)

    loud = torch.ones(WIDTH).index_fill(0, torch.arange(0, WIDTH, LOUD_EVERY), LOUD)
    q, k, v = normal(TOKENS), normal(SHARED) * loud, normal(SHARED) * loud
    true = scaled_dot_product_attention(q, k, v)
    fitted = Int2.fit(normal(SAMPLES) * loud, generator=generator)
    for name, target in MEMORY_TARGETS.items():
        codec: Codec = fitted if name == "int2" else codec_named(name)
        kept = [codec.decode(codec.encode(x), torch.float32) for x in (k, v)]
        error = relative(scaled_dot_product_attention(q, *kept), true)
        bits = codec.bits_per_number(WIDTH)
        yield line(
            "R8", "bytes of keys and values", f"{name} against bf16", [16 / bits], target=target, error=error,
            plain=16 / 8 * WIDTH, ours=bits / 8 * WIDTH,
        )  # fmt: skip
    for preset in plan.batches:
        yield from _dreams_over_pages(plan, preset)


def _dreams_over_pages(plan: Plan, preset: str) -> Iterator[Row | Point]:
    """The dreams of one network over pages of each codec against those over the ring, which is exact."""
    network = random_dynamics(preset, device=plan.device)
    ring = Dreams(network, DREAMS, 1)
    exact = ring.latent - ring.base  # now, since timing goes on with it
    each = held_bytes(ring.cache) / DREAMS
    for rows in plan.batches[preset]:
        yield Point("memory", preset, "ring", rows, rows * each / 2**20)
    times = timed({"ring": ring.step}, seconds=plan.seconds / 2, device=plan.device)["ring"]
    yield Point("quality", preset, "ring", EXACT, DREAMS / median(times) * 1e3)
    for name in CODECS:
        pages = Dreams(network, DREAMS, 1, memory=name)
        error = relative(pages.latent - pages.base, exact)
        setting = f"{preset}, B={DREAMS}, S=1, {name} pages"
        row = ratio(plan, "R8", "pages against the ring", setting, ring.step, pages.step, error=error)
        yield row
        yield Point("quality", preset, f"{name} pages", max(error, EXACT), DREAMS / row["ours"] * 1e3)
        pool = pages.cache.pool
        for rows in plan.batches[preset]:
            full = pool.page_bytes * pool.window * rows / 2**20
            yield Point("memory", preset, f"{name} pages", rows, full)
            if name == "fp32":
                yield Point("memory", preset, BRANCHES, rows, pool.page_bytes * (pool.window - 1 + rows) / 2**20)
