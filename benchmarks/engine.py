"""Measures what the engine's parts save, each against the plain way over the same weights: ratios R2, R7, R8, R9.

`python -m benchmarks.engine` writes benchmarks/engine.json. R1 is benchmarks/cache.py, R11 benchmarks/dream.py.

# B dreams, S denoising steps, R rows that share a prefix
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import torch
from torch.nn.functional import scaled_dot_product_attention

from agents.speed import cores
from kernels import codec_named, shared_prefix_attention
from wmenv.cache import FrameCache
from wmenv.dynamics import Due, NextFrame, new_cache
from wmenv.memory import keep_freed_memory
from wmenv.presets import preset_named
from wmenv.sampling import denoise

from .cache import random_dynamics
from .common import Value, in_turn, spread, write

ROUNDS = 9
HEADS, TOKENS, WIDTH = 8, 16, 64  # of attention alone
Row = dict[str, Value]


class Dreams:
    """Rows of dreams that go on frame by frame, lazily committed or eagerly."""

    def __init__(self, preset: str, rows: int, steps: int, *, lazy: bool) -> None:
        p = preset_named(preset)
        self.dynamics, self.lazy = random_dynamics(preset, p.window_frames), lazy
        c, generator = self.dynamics.config, torch.Generator().manual_seed(1)
        self.noise = torch.randn(rows, steps, c.num_tokens, c.token_dim, generator=generator)
        self.action = torch.rand(rows, c.action_dim, generator=generator) * 2 - 1
        self.base = torch.randn(rows, c.num_tokens, c.token_dim, generator=generator)
        self.cache: FrameCache = new_cache(self.dynamics, rows)
        self.due: Due | None = None
        self.latent = self.base
        for _ in range(c.window):
            self.step()

    def step(self) -> None:
        """One frame of every row, always from the same base, so that the numbers stay alike."""
        frame = NextFrame.begin(self.dynamics, self.cache, self.action, self.due)
        self.latent = denoise(frame, self.base, self.noise)
        if self.lazy:
            self.cache, self.due = frame.count(), Due(self.base, self.latent, self.action)
        else:
            self.cache = frame.commit(self.base, self.latent, self.latent.new_zeros(1))


def lazy_commit() -> Iterator[Row]:
    """R2: the finished frame's keys ride along with the next frame's first pass, against a pass of their own."""
    for preset in ("tiny", "small"):
        for steps in (1, 4):
            for rows in (1, 16, 64):
                eager, lazy = (Dreams(preset, rows, steps, lazy=wanted) for wanted in (False, True))
                apart = float((eager.latent - lazy.latent).abs().max())
                setting = f"{preset}, B={rows}, S={steps}"
                yield ratio("R2", "lazy commit", setting, eager.step, lazy.step, 1.25 if steps == 1 else None, apart)


def one_batch() -> Iterator[Row]:
    """R9: one forward of 64 dreams against 64 forwards of one."""
    for preset in ("tiny", "small"):
        together, alone = Dreams(preset, 64, 1, lazy=True), Dreams(preset, 1, 1, lazy=True)

        def each(alone: Dreams = alone) -> None:
            for _ in range(64):
                alone.step()

        yield ratio("R9", "one batch of dreams", f"{preset}, B=64, S=1", each, together.step, 3.0, None)


def shared_prefix() -> Iterator[Row]:
    """R7: attention over a prefix that R rows share, against copies of it; the copies are made beforehand."""
    shared, own = 256, 32
    for rows in (64, 128, 256):
        q, k, v = (torch.randn(rows, HEADS, n, WIDTH) for n in (TOKENS, own, own))
        prefix = [torch.randn(1, HEADS, shared, WIDTH) for _ in range(2)]
        seen = torch.ones(rows, own, dtype=torch.bool)
        copies = [torch.cat((p.repeat(rows, 1, 1, 1), x), dim=2) for p, x in zip(prefix, (k, v), strict=True)]
        smaller = sum(c.nbytes for c in copies) / sum(x.nbytes for x in (*prefix, k, v))
        sides = (
            lambda q=q, copies=copies: scaled_dot_product_attention(q, *copies),
            lambda q=q, prefix=prefix, k=k, v=v, seen=seen: shared_prefix_attention(q, *prefix, k, v, seen),
        )
        apart = float((sides[0]() - sides[1]()).abs().max())
        row = ratio("R7", "shared prefix", f"R={rows}, 256 shared, 32 own tokens", *sides, 1.3, apart)
        yield row
        yield line("R7", "memory of keys and values", str(row["setting"]), [smaller], 4.0, apart)


def codecs() -> Iterator[Row]:
    """R8: bytes of stored keys and values against bf16, and what that costs attention, with a few loud channels."""
    generator = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(1, HEADS, n, WIDTH, generator=generator) for n in (TOKENS, 256, 256))
    loud = torch.ones(WIDTH).index_fill(0, torch.arange(0, WIDTH, 16), 6.0)
    true = scaled_dot_product_attention(q, k * loud, v * loud)
    for name, target in (("int8", 1.8), ("int4", 3.2)):
        codec = codec_named(name)
        kept = [codec.decode(codec.encode(x * loud), torch.float32) for x in (k, v)]
        error = float((scaled_dot_product_attention(q, *kept) - true).norm() / true.norm())
        smaller = 16 / codec.bits_per_number(WIDTH)
        yield line("R8", "memory of keys and values", f"{name} against bf16", [smaller], target, error)


def ratio(
    name: str,
    part: str,
    setting: str,
    plain: Callable[[], object],
    ours: Callable[[], object],
    target: float | None,
    error: float | None,
) -> Row:
    """How many times as long the plain way takes; both run in turn."""
    calls = {"plain": plain, "ours": ours}
    first = in_turn(calls, rounds=1, calls=1)
    often = max(1, round(150 / (first["plain"][0] + first["ours"][0])))
    times = in_turn(calls, rounds=ROUNDS, calls=often)
    ratios = [a / b for a, b in zip(times["plain"], times["ours"], strict=True)]
    return line(name, part, setting, ratios, target, error)


def line(name: str, part: str, setting: str, ratios: Sequence[float], target: float | None, error: float | None) -> Row:
    """A row of the table: the median of the ratios, and whether it reaches the target."""
    (low, high), middle = spread(ratios), median(ratios)
    row: Row = {"id": name, "part": part, "setting": setting, "ratio": middle, "low": low, "high": high}
    return row | {"target": target, "reached": None if target is None else middle >= target, "error": error}


@torch.no_grad()
def main() -> None:
    """Measure, print a line for each, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=cores(), help="threads of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.cores)
    torch.manual_seed(0)
    keep_freed_memory()
    table: list[Row] = []
    for measure in (lazy_commit, one_batch, shared_prefix, codecs):
        for row in measure():
            table.append(row)
            sys.stdout.write(
                f"{row['id']} {row['part']}, {row['setting']}: {row['ratio']:.2f}x, target {row['target']}\n"
            )
            sys.stdout.flush()
    notes = (
        "How many times as long, or as large, the plain way is: medians of rounds in turn, low and high the quartiles. "
        "Error: largest difference between the two ways' outputs, of R8 relative to attention over what was stored "
        f"exactly. torch has {options.cores} threads."
    )
    write("engine", table, notes=notes)


if __name__ == "__main__":
    main()
