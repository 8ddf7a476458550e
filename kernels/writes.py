"""A frame's keys or values into their pages: normed and turned if they are keys, coded, scattered.

# B rows, H heads, P tokens of a frame, D head width
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .codecs import Codec, codec_named
from .dispatch import form
from .int2 import Int2
from .turn import turned


def cache_write(x: Tensor, parts: Sequence[Tensor], pages: Tensor, codec: Codec, turn: Tensor | None = None) -> None:
    """Put a frame's keys or values into one page of each row, in place; without gradients.

    Args:
        x: (B, H, P, D) keys as they come from their projection, or values.
        parts: what `codec` stores of one layer's keys or values, each (pages, H, P, ...) and contiguous.
        pages: (B,) long, the page of each row. Only a page that nobody reads may be named twice: rows without a frame
            name such a page, so that there is nothing to decide on the way.
        codec: by which they are stored.
        turn: (B or 1, P, D / 2) complex of length 1 for keys, as in `turned`; None stores x as it is.

    Raises:
        KernelError: `WMENV_KERNELS` asks for what cannot run here.
    """
    book = codec.codebook if isinstance(codec, Int2) else None
    _op(x, [*parts], pages, codec.name, None if turn is None else torch.view_as_real(turn), book)


@torch.library.custom_op("wmenv::cache_write", mutates_args={"parts"})
def _op(x: Tensor, parts: list[Tensor], pages: Tensor, codec: str, turn: Tensor | None, book: Tensor | None) -> None:
    fitted = codec_named(codec, x.device) if book is None else Int2(book)
    match form(x, _unsupported(x, codec)):
        case "reference":
            return _reference(x, parts, pages, fitted, turn)
        case "sdpa":
            if turn is not None:
                x = turned(x, torch.view_as_complex(turn).unsqueeze(1))
            for part, coded in zip(parts, fitted.encode(x), strict=True):
                part[pages] = coded
            return None
    from .writes_triton import write_frame  # triton is imported when it is needed, not before

    return write_frame(x, parts, pages, turn)


@_op.register_fake
def _(x: Tensor, *args: object) -> None:
    return None


def _unsupported(x: Tensor, codec: str) -> str | None:
    if codec not in ("fp32", "fp16", "bf16", "int8", "int4"):
        return f"codec {codec!r}"
    if x.dtype == torch.float64 or x.shape[3] % 2:
        return "float64 or an odd head width"
    return None if x.shape[2] <= 128 and x.shape[3] <= 128 else "frames above 128 tokens or heads above 128 channels"


def _reference(x: Tensor, parts: list[Tensor], pages: Tensor, codec: Codec, turn: Tensor | None) -> None:
    """Row by row, in float64 until it is coded."""
    for row, page in enumerate(pages.tolist()):
        frame = x[row].double()
        if turn is not None:
            cosine, sine = turn[row % turn.shape[0]].double().unbind(-1)
            frame = frame / (frame.square().mean(-1, keepdim=True) + torch.finfo(turn.dtype).eps).sqrt()
            a, b = frame.chunk(2, dim=-1)
            frame = torch.stack((a * cosine - b * sine, a * sine + b * cosine), dim=-1).flatten(-2)
        for part, coded in zip(parts, codec.encode(frame), strict=True):
            part[page] = coded
