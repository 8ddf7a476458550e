"""Rows of dreams that go on frame by frame, by the dynamics alone, over one of several memories.

# B rows, S denoising steps, N tokens, C channels
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kernels import codec_named
from wmenv import cache, dynamics, sampling

from .rolled import rolled


class Dreams:
    """`num_dreams` dreams, each with noise and actions of its own, that have filled their window.

    Row r is the same in every batch, so that a dream alone can be compared with one among many.

    Args:
        network: What dreams.
        num_dreams: B.
        steps: S.
        memory: "ring", "rolled" (clone and roll, as others keep it), or the name of a codec for pages.
        lazy: Leave a frame's keys and values to the next frame's first pass.
        lead: Frames to dream beforehand; by default as many as fill the window.
    """

    def __init__(
        self,
        network: dynamics.Dynamics,
        num_dreams: int,
        steps: int,
        *,
        memory: str = "ring",
        lazy: bool = True,
        lead: int | None = None,
    ) -> None:
        self.network, self.lazy = network, lazy
        c, device = network.config, network.head.weight.device
        drawn = [torch.Generator().manual_seed(row) for row in range(num_dreams)]

        def normal(*shape: int) -> Tensor:
            return torch.stack([torch.randn(shape, generator=generator) for generator in drawn]).to(device)

        self.noise = normal(steps, c.num_tokens, c.token_dim)
        self.base = normal(c.num_tokens, c.token_dim)
        self.action = normal(c.action_dim).clamp_(-1, 1)
        self.clean = torch.zeros(1, device=device)
        self.cache: Any = new_memory(network, num_dreams, memory)
        self.due: dynamics.Due | None = None
        self.latent = self.base
        self.frames = 0
        for _ in range(c.window if lead is None else lead):
            self.step()

    @torch.no_grad()
    def step(self) -> None:
        """One frame of every row, always from the same base, so that the numbers stay alike."""
        frame = dynamics.NextFrame.begin(self.network, self.cache, self.action, self.due)
        self.latent = sampling.denoise(frame, self.base, self.noise)
        if self.lazy:
            self.cache, self.due = frame.count(), dynamics.Due(self.base, self.latent, self.action)
        else:
            self.cache = frame.commit(self.base, self.latent, self.clean)
        self.frames += 1


def new_memory(network: dynamics.Dynamics, rows: int, memory: str) -> Any:
    """An empty memory for `rows` dreams: see `Dreams`."""
    ring = dynamics.new_cache(network, 1 if memory not in ("ring", "rolled") else rows)
    if memory == "ring":
        return ring
    if memory == "rolled":
        return rolled(ring)
    c, device = network.config, network.head.weight.device
    pool = cache.PagePool(
        codec_named(memory, device), layers=c.depth, heads=c.heads, window=c.window, tokens=c.num_tokens,
        head_dim=c.width // c.heads, pages=rows * c.window, device=device, dtype=ring.dtype,
    )  # fmt: skip
    for side, held in enumerate((ring.keys, ring.values)):
        pool.sinks[:, side] = held[0, :, :, -1].transpose(0, 1)
    return cache.PagedCache.empty(pool, rows)


def held_bytes(memory: Any) -> int:
    """Bytes of keys and values that a memory takes."""
    if isinstance(memory, cache.PagedCache):
        return memory.pool.nbytes
    return memory.keys.nbytes + memory.values.nbytes
