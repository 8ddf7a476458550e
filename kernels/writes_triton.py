"""cache_write as one GPU kernel: a frame is read once, and what is written is codes.

A program does one row and head. Channels are held as two tiles, of the even and of the odd ones as they are stored:
these are what a turn yields from the two halves of a key, so that nothing is shuffled on the way.

Imported when a call needs it, since triton is optional.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from .codecs import FLOOR
from .tiles_triton import hadamard_signs, tile, tile_constants


def write_frame(x: Tensor, parts: Sequence[Tensor], pages: Tensor, turn: Tensor | None) -> None:
    """As `kernels.cache_write`, for codecs of floating point, "int8" and "int4"; `turn` (B or 1, P, D / 2, 2) real."""
    x = x.contiguous()
    rotation = x if turn is None else turn.float().contiguous()  # the frame stands in where nothing is turned, unread
    rows, heads = x.shape[:2]
    with torch.cuda.device_of(x):  # Triton launches on the current device, which may be another
        write_kernel[rows, heads](x, rotation, parts[0], parts[-1], pages, **constants(x, parts, turn))


def constants(x: Tensor, parts: Sequence[Tensor], turn: Tensor | None) -> dict[str, object]:
    """What the kernel is compiled for, by name."""
    turns = 0 if turn is None else 1 if turn.shape[0] == 1 else 2
    own = {"TURN": turns, "EPS": torch.finfo(torch.float32).eps, "LEAST": FLOOR}
    return {**tile_constants(x, parts, x.shape[-1] // 2), **own, "num_warps": 4}


@triton.jit
def write_kernel(
    x, turn, codes, scales, pages,
    H: tl.constexpr, P: tl.constexpr, D: tl.constexpr, BITS: tl.constexpr, TURN: tl.constexpr, PP: tl.constexpr,
    DP: tl.constexpr, EPS: tl.constexpr, LEAST: tl.constexpr,
):  # fmt: skip
    """Tiles are (PP, DP): P and D / 2 rounded up, the rest masked. TURN is 0 for none, 1 for one all rows share."""
    half: tl.constexpr = D // 2
    row, head, p, i, token, inside = tile(H, P, half, PP, DP)
    frame = x + token[:, None] * D
    if TURN == 0:
        even = tl.load(frame + 2 * i[None, :], mask=inside, other=0.0).to(tl.float32)
        odd = tl.load(frame + 2 * i[None, :] + 1, mask=inside, other=0.0).to(tl.float32)
    else:
        a = tl.load(frame + i[None, :], mask=inside, other=0.0).to(tl.float32)
        b = tl.load(frame + half + i[None, :], mask=inside, other=0.0).to(tl.float32)
        inverse = tl.rsqrt((tl.sum(a * a, 1) + tl.sum(b * b, 1)) / D + EPS)[:, None]
        pair = turn + ((row * (TURN - 1) * P + p)[:, None] * half + i[None, :]) * 2
        cosine, sine = tl.load(pair, mask=inside, other=0.0), tl.load(pair + 1, mask=inside, other=0.0)
        even, odd = (a * cosine - b * sine) * inverse, (a * sine + b * cosine) * inverse
    at = (tl.load(pages + row) * H + head) * P + p
    if BITS == 4:
        low = _half_turned(even, odd, i, i, D)  # channels 0 to D / 2
        high = _half_turned(even, odd, i, tl.where(i < half, i + half, D), D)
        scale = _scale(low, high, 7.0, LEAST)
        tl.store(scales + at, scale, mask=p < P)
        byte = (_rounded(low, scale) & 15) | ((_rounded(high, scale) & 15) << 4)
        tl.store(codes + at[:, None] * half + i[None, :], byte.to(tl.uint8), mask=inside)
    else:
        if BITS == 8:
            scale = _scale(even, odd, 127.0, LEAST)
            tl.store(scales + at, scale, mask=p < P)
            even, odd = _rounded(even, scale), _rounded(odd, scale)
        elif codes.dtype.element_ty == tl.float16:
            even, odd = tl.clamp(even, -65504.0, 65504.0), tl.clamp(odd, -65504.0, 65504.0)
        place = codes + at[:, None] * D + 2 * i[None, :]
        tl.store(place, even.to(codes.dtype.element_ty), mask=inside)
        tl.store(place + 1, odd.to(codes.dtype.element_ty), mask=inside)


@triton.jit
def _half_turned(even, odd, i, j, D: tl.constexpr):
    """Channels j of the frame after its Hadamard turn."""
    turned = tl.dot(even, hadamard_signs(2 * i, j, D), input_precision="tf32x3")
    turned += tl.dot(odd, hadamard_signs(2 * i + 1, j, D), input_precision="tf32x3")
    return turned * (D & -D) ** -0.5


@triton.jit
def _scale(one, other, levels, LEAST: tl.constexpr):
    """(PP,) the largest magnitude of a token over `levels`."""
    peak = tl.maximum(tl.max(tl.abs(one), 1), tl.max(tl.abs(other), 1))
    return tl.maximum(tl.div_rn(peak, levels), LEAST)


@triton.jit
def _rounded(x, scale):
    """Nearest integers of x / scale, ties to even: float32 has no fractions from 2^23 on."""
    return ((tl.div_rn(x, scale[:, None]) + 12582912.0) - 12582912.0).to(tl.int32)
