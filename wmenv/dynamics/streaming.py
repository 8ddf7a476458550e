"""The dynamics one frame at a time over a ring cache: the same numbers as the parallel form, at the price of a frame.

# B envs, N tokens, C channels, A action size, W window
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..cache import FrameCache, copy_cache, empty_cache, write_sink
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


def estimate(
    dynamics: Dynamics, cache: FrameCache, base: Tensor, noised: Tensor, level: Tensor, action: Tensor
) -> Tensor:
    """Estimate y (B, N, C) of the next frame as target. Without gradients.

    Args:
        dynamics: the network.
        cache: the committed frames.
        base: (B, N, C) the last committed latent.
        noised: (B, N, C) y_tau.
        level: (B,) tau.
        action: (B, A) action that leads to the frame, in [-1, 1].
    """
    return NextFrame.begin(dynamics, copy_cache(cache), action).estimate(base, noised, level)


def commit(
    dynamics: Dynamics,
    cache: FrameCache,
    base: Tensor,
    latent: Tensor,
    level: Tensor,
    action: Tensor,
    write: Tensor | None = None,
) -> FrameCache:
    """The cache after the frame `latent` (B, N, C), reached from `base` by `action` and held at noise `level`.

    `write` (B,) bool marks the rows in which there is a frame; the others only count it.
    """
    return NextFrame.begin(dynamics, copy_cache(cache), action).commit(base, latent, level, write)
