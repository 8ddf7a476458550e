"""Attention of a frame that is being made over pages of earlier frames, read through a table and decoded on the way.

# B rows, C columns of the table, H heads, P tokens of a frame, D head width
"""

from __future__ import annotations

from collections.abc import Sequence

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


def paged_attention(
    q: Tensor,
    own_keys: Tensor,
    own_values: Tensor,
    key_parts: Sequence[Tensor],
    value_parts: Sequence[Tensor],
    table: Tensor,
    visible: Tensor,
    sink_key: Tensor,
    sink_value: Tensor,
    codec: Codec,
    value_codec: Codec | None = None,
) -> Tensor:
    """Softmax attention of each row's frame to itself, to the sink and to the pages it sees; without gradients.

    Args:
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

    Returns:
        (B, H, P, D), of q's type.

    Raises:
        KernelError: `WMENV_KERNELS` asks for what cannot run here.
    """
    books = [c.codebook if isinstance(c, Int2) else None for c in (codec, value_codec or codec)]
    own = (q, own_keys, own_values)
    return _op(*own, [*key_parts], [*value_parts], table, visible, sink_key, sink_value, codec.name, *books)


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
    args = (q, own_keys, own_values, tuple(key_parts), tuple(value_parts), table, visible, sink_key, sink_value)
    match form(q, _unsupported(q, codec)):
        case "reference":
            return paged_attention_reference(*args, *codecs)
        case "sdpa":
            return _sdpa(*args, *codecs)
    from .paged_triton import frame_attention  # triton is imported when it is needed, not before

    return frame_attention(*args, codec)


@_op.register_fake
def _(q: Tensor, *args: object) -> Tensor:
    return torch.empty_like(q, memory_format=torch.contiguous_format)


def _unsupported(q: Tensor, codec: str) -> str | None:
    if codec not in ("fp32", "fp16", "bf16", "int8", "int4"):
        return f"codec {codec!r}"
    if q.dtype == torch.float64:
        return "float64"
    return None if q.shape[2] <= 128 and q.shape[3] <= 128 else "frames above 128 tokens or heads above 128 channels"


def paged_attention_reference(
    q: Tensor,
    own_keys: Tensor,
    own_values: Tensor,
    key_parts: Sequence[Tensor],
    value_parts: Sequence[Tensor],
    table: Tensor,
    visible: Tensor,
    sink_key: Tensor,
    sink_value: Tensor,
    codec: Codec,
    value_codec: Codec | None = None,
) -> Tensor:
    """The same row by row in float64: the oracle of the tests."""
    rows = []
    for b in range(q.shape[0]):
        sides = []
        for side, parts, own, sink in (
            (codec, key_parts, own_keys, sink_key),
            (value_codec or codec, value_parts, own_values, sink_value),
        ):
            seen = [side.decode(tuple(part[page] for part in parts), torch.float64) for page in table[b][visible[b]]]
            sides.append(torch.cat((*seen, own[b].double(), sink.unsqueeze(1).double()), dim=1))  # (H, keys, D)
        logits = torch.einsum("hpd,hkd->hpk", q[b].double(), sides[0]) / q.shape[-1] ** 0.5
        rows.append(torch.einsum("hpk,hkd->hpd", logits.softmax(-1), sides[1]))
    return torch.stack(rows).to(q.dtype)


def _sdpa(
    q: Tensor,
    own_keys: Tensor,
    own_values: Tensor,
    key_parts: tuple[Tensor, ...],
    value_parts: tuple[Tensor, ...],
    table: Tensor,
    visible: Tensor,
    sink_key: Tensor,
    sink_value: Tensor,
    codec: Codec,
    value_codec: Codec,
) -> Tensor:
    """By torch: gather, decode, join with the frame itself and the sink, attend; some rows at a time on a CPU."""
    rows, heads, tokens, width = q.shape
    turned = isinstance(codec, TURNING)
    if turned:  # products and weighted means commute with the turn, so a frame is turned, not all it looks at
        q, own_keys, own_values, sink_key, sink_value = map(hadamard, (q, own_keys, own_values, sink_key, sink_value))
    # A weight of 0 times a number that is not finite is not 0, so columns that are not seen name a page that is.
    table = torch.where(visible, table, table.gather(1, visible.int().argmax(1, keepdim=True)))
    blind = ~visible.any(1)
    bias = torch.zeros(rows, (table.shape[1] + 1) * tokens + 1, dtype=q.dtype, device=q.device)
    bias[:, : -tokens - 1].masked_fill_(~visible.repeat_interleave(tokens, 1), float("-inf"))
    size = max(1, CHUNK // (heads * bias.shape[1] * width)) if q.is_cpu else rows
    outs = []
    for first in range(0, rows, size):
        some = slice(first, first + size)
        where = table[some], blind[some]
        keys = _joined(codec, key_parts, own_keys[some], sink_key, *where)
        values = _joined(value_codec, value_parts, own_values[some], sink_value, *where)
        outs.append(cache_attention(q[some], keys, values, bias[some]))
    out = outs[0] if len(outs) == 1 else torch.cat(outs)
    return hadamard(out) if turned else out


def _joined(codec: Codec, parts: tuple[Tensor, ...], own: Tensor, sink: Tensor, table: Tensor, blind: Tensor) -> Tensor:
    """Decoded pages, the frame's own and the sink (B, H, C * P + P + 1, D)."""
    pages = tuple(gather_pages(part, table) for part in parts)
    seen = codec.decode_turned(pages).to(own.dtype) if isinstance(codec, TURNING) else codec.decode(pages, own.dtype)
    if not own.is_cpu or bool(blind.any()):  # asking is cheap on a CPU alone
        seen = seen.masked_fill(blind[:, None, None, None], 0)
    return torch.cat((seen, own, sink.unsqueeze(1).expand(own.shape[0], -1, -1, -1)), dim=2)


def gather_pages(part: Tensor, table: Tensor) -> Tensor:
    """What a part (pages, H, P, ...) of a pool holds of a table's (B, C) pages, side by side: (B, H, C * P, ...)."""
    pages, heads, tokens, *rest = part.shape
    index = table.unsqueeze(1) * heads + torch.arange(heads, device=table.device)[:, None]  # (B, H, C)
    frames = part.view(pages * heads, -1).index_select(0, index.flatten())
    return frames.view(table.shape[0], heads, table.shape[1] * tokens, *rest)
