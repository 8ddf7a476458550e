"""A ring of the last W frames' keys and values: the newest overwrites the oldest, and nothing is shifted.

# B envs, L layers, W frames, N tokens, D width
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class FrameCache(NamedTuple):
    """Keys and values of committed frames. Attention does not mind their order, since keys are rotated by time."""

    keys: Tensor  # (B, L, W, N, D)
    values: Tensor  # (B, L, W, N, D)
    cached: Tensor  # (B, W) bool, False where a slot holds no frame
    position: Tensor  # (B,) long, number of frames committed so far


def empty_cache(
    rows: int, layers: int, window: int, tokens: int, width: int, *, device: torch.device, dtype: torch.dtype
) -> FrameCache:
    """A cache of `rows` environments that remember nothing."""
    shape = (rows, layers, window, tokens, width)
    return FrameCache(
        torch.zeros(shape, device=device, dtype=dtype),
        torch.zeros(shape, device=device, dtype=dtype),
        torch.zeros(rows, window, device=device, dtype=torch.bool),
        torch.zeros(rows, device=device, dtype=torch.long),
    )


def write_frame(cache: FrameCache, keys: Tensor, values: Tensor, write: Tensor | None = None) -> FrameCache:
    """The cache after one more frame, whose keys and values are (B, L, N, D); the old cache stays as it was.

    `write` (B,) bool marks the rows in which there is a frame; the others keep what they hold but still count it, so
    that all rows of a padded batch stand at the same time.
    """
    rows = torch.arange(cache.position.shape[0], device=cache.position.device)
    slot = cache.position % cache.cached.shape[1]
    cached = cache.cached.clone()
    cached[rows, slot] = True if write is None else write
    new_keys, new_values = cache.keys.clone(), cache.values.clone()
    new_keys[rows, :, slot] = keys.to(new_keys.dtype)
    new_values[rows, :, slot] = values.to(new_values.dtype)
    return FrameCache(new_keys, new_values, cached, cache.position + 1)
