"""A ring of frames' keys and values: the newest overwrites the oldest, and nothing is shifted.

It has one slot more than the window is wide: the frame that is being made lies in its own slot, beside all W frames
that it may see, so that attention reads the cache where it lies.

# B envs, H heads, L layers, W window, N tokens, d head width, K columns, R frames of a pass: B, 2 B, or single ones
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from kernels import cache_attention

from .memory import Role

FEW = 3
"""Single frames of fewer than one row in so many have their rings copied."""


class FrameSlot(NamedTuple):
    """Where in a cache a frame belongs."""

    rows: Tensor  # (B,) long, 0 to B - 1; or any R rows
    slot: Tensor  # (B,) long
    oldest: Tensor  # (B,) long, the slot that is given up once that frame is counted


class RingView(NamedTuple):
    """The slots of a pass's frames, and where they may look."""

    slots: tuple[FrameSlot, ...]  # of B frames each, or once of R
    bias: Tensor  # (R, K), or (B, 1, 2 N, K) of both frames of a row: 0 where a frame may look, -inf elsewhere
    some: Tensor | None = None  # (R,) long, of single frames: their rows, or twice that and 1 more for targets


class FrameCache(NamedTuple):
    """Keys and values of counted frames. Attention does not mind their order, since keys are rotated by time.

    The frame to come has the slot position % (W + 1); what lies there has no meaning between steps. The last column
    holds the attention sink, which everyone always sees.
    """

    keys: Tensor  # (B, H, L, (W + 1) * N + 1, d)
    values: Tensor  # (B, H, L, (W + 1) * N + 1, d)
    cached: Tensor  # (B, W + 1) bool, False where a slot holds no frame that the next one may see
    position: Tensor  # (B,) long, number of frames counted so far

    @property
    def dtype(self) -> torch.dtype:
        """Of keys and values."""
        return self.keys.dtype

    def opened(self, *, due: bool) -> FrameCache:
        """This cache: a slot is always free."""
        return self

    def view(self, role: Role) -> RingView:
        """The slot of a frame in a role, and what it sees."""
        at = next_slot(self) if role is Role.TARGET else last_slot(self)
        return RingView((at,), self._bias(at))

    def join(self, context: RingView, target: RingView) -> RingView:
        """Both frames of a row side by side, so that the ring is read once for them."""
        tokens = (self.keys.shape[3] - 1) // self.cached.shape[1]
        both = torch.stack((context.bias, target.bias), dim=1).repeat_interleave(tokens, 1)
        return RingView(context.slots + target.slots, both.unsqueeze(1))

    def view_some(self, rows: Tensor, due: Tensor) -> RingView:
        """What single frames of the rows `rows` (R,) see, contexts where `due` (R,) bool, targets elsewhere.

        A row may be there twice, once in each role. Few frames have their rings copied. Many look at all rings where
        they lie, with idle queries in between: to read a ring that nobody asked for costs less than to copy one that
        somebody did.
        """
        at = _slot(self, rows, -due.long())
        bias = self._bias(at)
        if FEW * len(rows) < len(self.position):
            return RingView((at,), bias, rows)
        place = 2 * rows + ~due
        tokens = (self.keys.shape[3] - 1) // self.cached.shape[1]
        every = bias.new_zeros(2 * len(self.position), bias.shape[1])
        every[place] = bias
        each = every.view(-1, 1, 2, 1, bias.shape[1]).expand(-1, -1, -1, tokens, -1)
        return RingView((at,), each.flatten(2, 3), place)

    def put(self, view: RingView, layer: int, keys: Tensor, values: Tensor) -> None:
        """Write keys and values (R, H, N, d) into the frames' slots, in place."""
        if len(view.slots) == 1:
            return write_layer(self, view.slots[0], layer, keys, values)
        for at, k, v in zip(view.slots, keys.chunk(2), values.chunk(2), strict=True):
            write_layer(self, at, layer, k, v)

    def attend(self, view: RingView, layer: int, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attention (R, H, N, d) of q over the ring as it lies; the frames' own keys and values are in it."""
        held, kept, q = self.keys[:, :, layer], self.values[:, :, layer], q.to(self.dtype)
        if view.some is not None:
            return _attend_some(q, held, kept, view)
        if len(view.slots) == 1:
            return cache_attention(q, held, kept, view.bias)
        both = scaled_dot_product_attention(torch.cat(q.chunk(2), dim=2), held, kept, attn_mask=view.bias)
        return torch.cat(both.chunk(2, dim=2))

    def settled(self, write: Tensor | None = None) -> FrameCache:
        """This cache: what was put lies in its slot, which `counted` has marked."""
        return self

    def counted(self, write: Tensor | None = None) -> FrameCache:
        """The cache after the frame to come; see `advance`."""
        return advance(self, next_slot(self), write)

    def _bias(self, at: FrameSlot) -> Tensor:
        """(R, K): 0 where the frame at a slot may look, -inf elsewhere; everyone sees the sink in the last column."""
        visible = visible_slots(self, at)
        columns = (self.keys.shape[3] - 1) // visible.shape[1]
        seen = pad(visible.repeat_interleave(columns, 1), (0, 1), value=True)
        bias = torch.zeros(seen.shape, dtype=self.dtype, device=seen.device)
        return bias.masked_fill_(~seen, float("-inf"))


def _attend_some(q: Tensor, keys: Tensor, values: Tensor, view: RingView) -> Tensor:
    """Attention of single frames' queries (R, H, N, d); see `FrameCache.view_some`."""
    some, (_, h, n, d), rows = view.some, q.shape, len(keys)
    if view.bias.ndim == 2:
        return cache_attention(q, keys[some], values[some], view.bias)
    asked = q.new_zeros(2 * rows, h, n, d)
    asked[some] = q
    asked = asked.view(rows, 2, h, n, d).transpose(1, 2).reshape(rows, h, 2 * n, d)
    answered = scaled_dot_product_attention(asked, keys, values, attn_mask=view.bias)
    return answered.view(rows, h, 2, n, d).transpose(1, 2).reshape(2 * rows, h, n, d)[some]


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


def next_slot(cache: FrameCache) -> FrameSlot:
    """The slot of the frame to come."""
    return _slot(cache, _all_rows(cache), 0)


def last_slot(cache: FrameCache) -> FrameSlot:
    """The slot of the newest frame that is counted."""
    return _slot(cache, _all_rows(cache), -1)


def _all_rows(cache: FrameCache) -> Tensor:
    return torch.arange(len(cache.position), device=cache.position.device)


def _slot(cache: FrameCache, rows: Tensor, shift: int | Tensor) -> FrameSlot:
    slots, at = cache.cached.shape[1], cache.position[rows] + shift
    return FrameSlot(rows, at % slots, (at + 1) % slots)


def count_rows(cache: FrameCache, rows: Tensor) -> None:
    """Count the frames to come of the rows `rows` (K,) alone, in place; see `advance`."""
    at = _slot(cache, rows, 0)
    cache.cached[rows, at.slot], cache.cached[rows, at.oldest] = True, False
    cache.position[rows] += 1


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


def visible_slots(cache: FrameCache, at: FrameSlot) -> Tensor:
    """Which slots (B, W + 1) the frame at a slot sees: itself, and every frame that is counted.

    Those are the last W for the frame to come. For the newest that is counted, W - 1 and itself.
    """
    return cache.cached[at.rows].scatter_(1, at.slot.unsqueeze(1), True)


def advance(cache: FrameCache, at: FrameSlot, write: Tensor | None = None) -> FrameCache:
    """The cache that counts the frame whose slot is `at`; its keys and values may be written before or after.

    `write` (B,) bool marks the rows in which there is a frame; the others forget what is written but still count it,
    so that all rows of a padded batch stand at the same time.
    """
    cached = cache.cached.clone()
    cached[at.rows, at.slot] = True if write is None else write
    cached[at.rows, at.oldest] = False
    return cache._replace(cached=cached, position=cache.position + 1)
