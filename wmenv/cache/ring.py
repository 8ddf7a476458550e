"""A ring of frames' keys and values: the newest overwrites the oldest, and nothing is shifted.

It has one slot more than the window is wide: the frame that is being made lies in its own slot, beside all W frames
that it may see, so that attention reads the cache where it lies.

# B envs, H heads, L layers, W window, N tokens, d head width
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class FrameCache(NamedTuple):
    """Keys and values of committed frames. Attention does not mind their order, since keys are rotated by time.

    The frame to come has the slot position % (W + 1); what lies there has no meaning between steps. The last column
    holds the attention sink, which everyone always sees.
    """

    keys: Tensor  # (B, H, L, (W + 1) * N + 1, d)
    values: Tensor  # (B, H, L, (W + 1) * N + 1, d)
    cached: Tensor  # (B, W + 1) bool, False where a slot holds no frame that the next one may see
    position: Tensor  # (B,) long, number of frames committed so far


def empty_cache(
    rows: int,
    heads: int,
    layers: int,
    window: int,
    tokens: int,
    head_dim: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> FrameCache:
    """A cache of `rows` environments that remember nothing."""
    shape = (rows, heads, layers, (window + 1) * tokens + 1, head_dim)
    return FrameCache(
        torch.zeros(shape, device=device, dtype=dtype),
        torch.zeros(shape, device=device, dtype=dtype),
        torch.zeros(rows, window + 1, device=device, dtype=torch.bool),
        torch.zeros(rows, device=device, dtype=torch.long),
    )


def copy_cache(cache: FrameCache) -> FrameCache:
    """A cache that shares no keys and values with `cache`, so that it may be written in place."""
    return cache._replace(keys=cache.keys.clone(), values=cache.values.clone())


class FrameSlot(NamedTuple):
    """Where in a cache the frame to come belongs."""

    rows: Tensor  # (B,) long, 0 to B - 1
    slot: Tensor  # (B,) long
    oldest: Tensor  # (B,) long, the slot that is given up once that frame is committed


def next_slot(cache: FrameCache) -> FrameSlot:
    """The slot of the frame to come."""
    rows, slots = cache.cached.shape
    index = torch.arange(rows, device=cache.position.device)
    return FrameSlot(index, cache.position % slots, (cache.position + 1) % slots)


def write_layer(cache: FrameCache, at: FrameSlot, layer: int, keys: Tensor, values: Tensor) -> None:
    """Put a frame's keys and values (B, H, N, d) into its slot of one layer, in place."""
    slots = cache.cached.shape[1]
    for field, frame in ((cache.keys, keys), (cache.values, values)):
        frames = field[:, :, layer, :-1].unflatten(2, (slots, frame.shape[2]))  # (B, H, W + 1, N, d)
        frames[at.rows, :, at.slot] = frame.to(field.dtype)


def write_sink(cache: FrameCache, layer: int, key: Tensor, value: Tensor) -> None:
    """Put the attention sink's key and value (H, d) into the last column of one layer, in place."""
    cache.keys[:, :, layer, -1] = key.to(cache.keys.dtype)
    cache.values[:, :, layer, -1] = value.to(cache.values.dtype)


def visible_frames(cache: FrameCache, at: FrameSlot, *, committing: bool) -> Tensor:
    """Which slots (B, W + 1) the frame to come sees: itself, and the last W frames, or W - 1 once it counts as one."""
    visible = cache.cached.clone()
    if committing:
        visible[at.rows, at.oldest] = False
    visible[at.rows, at.slot] = True
    return visible


def advance(cache: FrameCache, at: FrameSlot, write: Tensor | None = None) -> FrameCache:
    """The cache after the frame whose keys and values have been written into its slot.

    `write` (B,) bool marks the rows in which there is a frame; the others forget what was written but still count it,
    so that all rows of a padded batch stand at the same time.
    """
    cached = cache.cached.clone()
    cached[at.rows, at.slot] = True if write is None else write
    cached[at.rows, at.oldest] = False
    return cache._replace(cached=cached, position=cache.position + 1)
