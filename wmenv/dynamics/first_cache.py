"""The cache in which a dream begins: empty, but for the sinks that are always visible."""

from __future__ import annotations

import torch

from ..cache import FrameCache, empty_cache, write_sink
from .dit import Dynamics
from .next_frame import side_by_side


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
