"""Rows that step, begin from prefixes and fork, over any cache and either commit: what property tests drive."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kernels import codec_named
from tests.wmenv.list_memory import ListMemory
from wmenv.cache import FrameCache, PagedCache, PagePool, copy_cache
from wmenv.dynamics import Due, Dynamics, NextFrame, new_cache
from wmenv.dynamics.next_frame import side_by_side
from wmenv.types import gather_rows, scatter_rows


def new_pool(dynamics: Dynamics, pages: int, codec: str) -> PagePool:
    """A pool for a dynamics, with its sinks."""
    c, weight = dynamics.config, dynamics.head.weight
    pool = PagePool(
        codec_named(codec), layers=c.depth, heads=c.heads, window=c.window, tokens=c.num_tokens,
        head_dim=c.width // c.heads, pages=pages, device=weight.device, dtype=weight.dtype,
    )  # fmt: skip
    for layer, block in enumerate(dynamics.blocks):
        pool.sinks[layer, 0], pool.sinks[layer, 1] = side_by_side(block.sink_key * block.timeless), block.sink_value
    return pool


def with_rows(cache: PagedCache, index: Tensor, other: PagedCache, rows: Tensor) -> PagedCache:
    """`cache` whose rows `index` (K,) name what `rows` (K,) of `other` name: moved as the environments move rows."""
    table, position = cache.table.clone(), cache.position.clone()
    table[index], position[index] = other.table[rows], other.position[rows]
    return replace(cache, table=table, position=position)


class Clip:
    """A recorded context: latents (P, N, C), actions (P, A), which of them are there (P,)."""

    def __init__(self, dynamics: Dynamics, frames: int, seed: int, valid: list[bool] | None = None) -> None:
        c, generator = dynamics.config, torch.Generator().manual_seed(seed)
        weight = dynamics.head.weight
        self.latents = torch.randn(frames, c.num_tokens, c.token_dim, generator=generator, dtype=torch.float64)
        self.latents = self.latents.to(weight.dtype)
        self.actions = (torch.rand(frames, c.action_dim, generator=generator, dtype=torch.float64) * 2 - 1).to(weight)
        self.valid = torch.tensor([True] * frames if valid is None else [*valid, True])

    def rows(self, first: int, last: int) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """(base, latent, action, valid) of frames, with an axis for one row."""
        base = torch.cat((self.latents[:1], self.latents[:-1]))
        return [(base[t : t + 1], self.latents[t : t + 1], self.actions[t : t + 1], self.valid[t : t + 1])
                for t in range(first, last)]  # fmt: skip


class Dreamer:
    """B rows over a cache of one kind: "ring", "list" or a codec's name for pages."""

    def __init__(
        self, dynamics: Dynamics, rows: int, clips: list[Clip], *, kind: str, lazy: bool, codec: str = "fp64"
    ) -> None:
        self.dynamics, self.lazy, self.kind = dynamics, lazy, kind
        pinned = sum(int(clip.valid.sum()) for clip in clips)
        if kind == "pages":
            window = dynamics.config.window
            self.pool = new_pool(dynamics, rows * (window + 1) + pinned, codec)
        self.cache: Any = self._empty(rows, codec)
        self.prefixes = [self._prefix(clip, codec) for clip in clips]
        c, like = dynamics.config, clips[0].latents
        self.due = Due(
            like.new_zeros(rows, c.num_tokens, c.token_dim),
            like.new_zeros(rows, c.num_tokens, c.token_dim),
            like.new_zeros(rows, c.action_dim),
        )

    def _empty(self, rows: int, codec: str) -> Any:
        if self.kind == "ring":
            return new_cache(self.dynamics, rows)
        if self.kind == "list":
            return ListMemory.empty(self.dynamics, rows, codec_named(codec))
        return PagedCache.empty(self.pool, rows)

    def _prefix(self, clip: Clip, codec: str) -> tuple[Any, Due]:
        cache = self._empty(1, codec)
        frames = clip.rows(0, len(clip.latents))
        zero = clip.latents.new_zeros(1)
        for base, latent, action, valid in frames[:-1] if self.lazy else frames:
            cache = NextFrame.begin(self.dynamics, cache, action).commit(base, latent, zero, valid)
        if self.lazy:
            cache = cache.counted()
        if self.kind == "pages":
            self.pool.pinned[cache.table[cache.table >= 0]] = True
        return cache, Due(*frames[-1][:3])

    def begin(self, rows: list[int], clip: int) -> None:
        """These rows begin from a prefix."""
        cache, due = self.prefixes[clip]
        index = torch.tensor(rows)
        self.due = scatter_rows(self.due, index, gather_rows(torch.zeros_like(index), due))
        if self.kind == "ring":
            self.cache = scatter_rows(self.cache, index, gather_rows(torch.zeros_like(index), cache))
        elif self.kind == "pages":
            self.cache = with_rows(self.cache, index, cache, torch.zeros_like(index))
        else:
            for row in rows:
                self.cache.frames[row] = list(cache.frames[0])
                self.cache.position[row] = cache.position[0]

    def fork(self, source: int, targets: list[int]) -> None:
        """These rows go on as the source does."""
        index = torch.tensor(targets)
        self.due = scatter_rows(self.due, index, gather_rows(torch.full_like(index, source), self.due))
        if self.kind == "ring":
            copies = gather_rows(torch.full_like(index, source), self.cache)
            self.cache = scatter_rows(self.cache, index, copies)
        elif self.kind == "pages":
            self.cache = with_rows(self.cache, index, self.cache, torch.full_like(index, source))
        else:
            order = list(range(len(self.cache.frames)))
            for row in targets:
                order[row] = source
            self.cache = self.cache.gather(order)

    def step(self, action: Tensor, noised: Tensor, level: Tensor, latent: Tensor, passes: int = 1) -> Tensor:
        """What is estimated of every row's next frame; then `latent` (B, N, C) is committed."""
        cache = copy_cache(self.cache) if isinstance(self.cache, FrameCache) else self.cache
        frame = NextFrame.begin(self.dynamics, cache, action, self.due if self.lazy else None)
        said = noised
        for _ in range(passes):
            said = frame.estimate(self.due.latent, noised, level)
        self.cache = frame.count() if self.lazy else frame.commit(self.due.latent, latent, latent.new_zeros(1))
        self.due = Due(self.due.latent, latent, action)
        return said
