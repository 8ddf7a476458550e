"""Attention of a frame that is being made over pages of earlier frames, read through a table and decoded on the way.

# B rows, C columns of the table, H heads, P tokens of a frame, D head width
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .attention import cache_attention
from .codecs import Codec, Int4, codec_named
from .dispatch import form
from .hadamard import hadamard
from .int2 import Int2

CHUNK = 2**18
"""Numbers of keys that are gathered at once on a CPU: 1 MB, so that they are still in its cache when they are used."""

TURNING = (Int4, Int2)
"""Codecs that turn a token's channels before they code it."""


class PagedFrame(NamedTuple):
    """A frame that is being made in each row, the pages that it looks at, and how they are stored.

    Attributes:
        q: (B, H, P, D) queries, normed and rotated.
        own_keys: (B, H, P, D) keys of the same frame, likewise.
        own_values: (B, H, P, D).
        key_parts: what `codec` stored of one layer's keys, each (pages, H, P, ...) and contiguous.
        value_parts: likewise of its values.
        table: (B, C) long, the page in each column. Rows may name the same page.
        visible: (B, C) bool; where False the page may be any, and what is in it has no influence.
        sink_key: (H, D), which everyone sees.
        sink_value: (H, D).
        codec: by which keys, and values too unless `value_codec` is given, are stored.
        value_codec: for a codec that was fitted to keys and values apart.
    """

    q: Tensor
    own_keys: Tensor
    own_values: Tensor
    key_parts: Sequence[Tensor]
    value_parts: Sequence[Tensor]
    table: Tensor
    visible: Tensor
    sink_key: Tensor
    sink_value: Tensor
    codec: Codec
    value_codec: Codec | None = None

    @property
    def sides(self) -> tuple[Side, Side]:
        """Keys and values: their codec, parts, own frame and sink."""
        return (
            Side(self.codec, self.key_parts, self.own_keys, self.sink_key),
            Side(self.value_codec or self.codec, self.value_parts, self.own_values, self.sink_value),
        )


class Side(NamedTuple):
    """The keys or the values of a `PagedFrame`."""

    codec: Codec
    parts: Sequence[Tensor]
    own: Tensor
    sink: Tensor


def paged_attention(frame: PagedFrame) -> Tensor:
    """Softmax attention of each row's frame to itself, to the sink and to the pages it sees; without gradients.

    Returns:
        (B, H, P, D), of the queries' type.

    Raises:
        KernelError: `WMENV_KERNELS` asks for what cannot run here.
    """
    *tensors, codec, value_codec = frame._replace(key_parts=[*frame.key_parts], value_parts=[*frame.value_parts])
    books = [c.codebook if isinstance(c, Int2) else None for c in (codec, value_codec or codec)]
    return _op(*tensors, codec.name, *books)


@torch.library.custom_op("wmenv::paged_attention", mutates_args=())
def _op(
    q: Tensor,
    own_keys: Tensor,
    own_values: Tensor,
    key_parts: list[Tensor],
    value_parts: list[Tensor],
    table: Tensor,
    visible: Tensor,
    sink_key: Tensor,
    sink_value: Tensor,
    codec: str,
    key_book: Tensor | None,
    value_book: Tensor | None,
) -> Tensor:
    codecs = [codec_named(codec, q.device) if book is None else Int2(book) for book in (key_book, value_book)]
    frame = PagedFrame(q, own_keys, own_values, key_parts, value_parts, table, visible, sink_key, sink_value, *codecs)
    match form(q, _unsupported(q, codec)):
        case "reference":
            return paged_attention_reference(frame)
        case "sdpa":
            return _sdpa(frame)
    from .paged_triton import frame_attention  # triton is imported when it is needed, not before

    return frame_attention(frame)


@_op.register_fake
def _(q: Tensor, *args: object) -> Tensor:
    return torch.empty_like(q, memory_format=torch.contiguous_format)


def _unsupported(q: Tensor, codec: str) -> str | None:
    if codec not in ("fp32", "fp16", "bf16", "int8", "int4"):
        return f"codec {codec!r}"
    if q.dtype == torch.float64:
        return "float64"
    return None if q.shape[2] <= 128 and q.shape[3] <= 128 else "frames above 128 tokens or heads above 128 channels"


def paged_attention_reference(frame: PagedFrame) -> Tensor:
    """The same row by row in float64: the oracle of the tests."""
    rows = []
    for b, q in enumerate(frame.q.double()):
        pages, sides = frame.table[b][frame.visible[b]], []
        for codec, parts, own, sink in frame.sides:
            seen = [codec.decode(tuple(part[page] for part in parts), torch.float64) for page in pages]
            sides.append(torch.cat((*seen, own[b].double(), sink.unsqueeze(1).double()), dim=1))  # (H, keys, D)
        logits = torch.einsum("hpd,hkd->hpk", q, sides[0]) / q.shape[-1] ** 0.5
        rows.append(torch.einsum("hpk,hkd->hpd", logits.softmax(-1), sides[1]))
    return torch.stack(rows).to(frame.q.dtype)


def _sdpa(frame: PagedFrame) -> Tensor:
    """By torch: gather, decode, join with the frame itself and the sink, attend; some rows at a time on a CPU."""
    q, table, visible, turned = frame.q, frame.table, frame.visible, isinstance(frame.codec, TURNING)
    rows, heads, tokens, width = q.shape
    sides = frame.sides
    if turned:  # products and weighted means commute with the turn, so a frame is turned, not all it looks at
        q = hadamard(q)
        sides = [side._replace(own=hadamard(side.own), sink=hadamard(side.sink)) for side in sides]
    # A weight of 0 times a number that is not finite is not 0, so columns that are not seen name a page that is.
    table = torch.where(visible, table, table.gather(1, visible.int().argmax(1, keepdim=True)))
    blind = ~visible.any(1)
    bias = torch.zeros(rows, (table.shape[1] + 1) * tokens + 1, dtype=q.dtype, device=q.device)
    bias[:, : -tokens - 1].masked_fill_(~visible.repeat_interleave(tokens, 1), float("-inf"))
    size = max(1, CHUNK // (heads * bias.shape[1] * width)) if q.is_cpu else rows
    outs = []
    for first in range(0, rows, size):
        some = slice(first, first + size)
        keys, values = (_joined(side, some, table, blind) for side in sides)
        outs.append(cache_attention(q[some], keys, values, bias[some]))
    out = outs[0] if len(outs) == 1 else torch.cat(outs)
    return hadamard(out) if turned else out


def _joined(side: Side, some: slice, table: Tensor, blind: Tensor) -> Tensor:
    """Of some rows the decoded pages, the frame's own and the sink (B, H, C * P + P + 1, D)."""
    codec, own = side.codec, side.own[some]
    pages = tuple(gather_pages(part, table[some]) for part in side.parts)
    seen = codec.decode_turned(pages).to(own.dtype) if isinstance(codec, TURNING) else codec.decode(pages, own.dtype)
    if not own.is_cpu or bool(blind[some].any()):  # asking is cheap on a CPU alone
        seen = seen.masked_fill(blind[some][:, None, None, None], 0)
    return torch.cat((seen, own, side.sink.unsqueeze(1).expand(own.shape[0], -1, -1, -1)), dim=2)


def gather_pages(part: Tensor, table: Tensor) -> Tensor:
    """What a part (pages, H, P, ...) of a pool holds of a table's (B, C) pages, side by side: (B, H, C * P, ...)."""
    pages, heads, tokens, *rest = part.shape
    index = table.unsqueeze(1) * heads + torch.arange(heads, device=table.device)[:, None]  # (B, H, C)
    frames = part.view(pages * heads, -1).index_select(0, index.flatten())
    return frames.view(table.shape[0], heads, table.shape[1] * tokens, *rest)
