"""The cache in which a dream begins: empty but for the sinks, which are always visible, or filled with a clip."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cache import FrameCache, empty_cache, write_sink
from .dit import Dynamics
from .next_frame import NextFrame, side_by_side


@torch.no_grad()
def new_cache(dynamics: Dynamics, rows: int) -> FrameCache:
    """An empty cache for `rows` environments on the device and in the dtype of `dynamics`, with its sinks."""
    c, weight = dynamics.config, dynamics.head.weight
    cache = empty_cache(
        rows, c.heads, c.depth, c.window, c.num_tokens, c.width // c.heads, device=weight.device, dtype=weight.dtype
    )
    for layer, block in enumerate(dynamics.blocks):
        write_sink(cache, layer, side_by_side(block.sink_key * block.timeless), block.sink_value)
    return cache


@torch.no_grad()
def remember(dynamics: Dynamics, latents: Tensor, actions: Tensor, valid: Tensor) -> FrameCache:
    """A cache that has seen clips.

    Args:
        dynamics: the network.
        latents: (B, P, N, C) of any length; before an episode began, its first latent repeated.
        actions: (B, P, A) in [-1, 1], the action that led to each.
        valid: (B, P) bool, False before the episode began.
    """
    cache, base, clean = new_cache(dynamics, len(latents)), latents[:, 0], latents.new_zeros(1)
    for t in range(latents.shape[1]):
        frame = NextFrame.begin(dynamics, cache, actions[:, t])
        cache = frame.commit(base, latents[:, t], clean, valid[:, t])
        base = latents[:, t]
    return cache
