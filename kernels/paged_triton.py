"""paged_attention as one GPU kernel: pages are read once, as codes, where they lie; nothing is gathered or joined.

A program does one row and head. It goes through the row's pages some keys at a time with a running softmax (Milakov and
Gimelshein, 2018), then its own frame, then the sink. Codes become numbers in registers: a key's scale is applied to its
logits; a value's to the value. With 4 bits the query is turned instead of the keys, and the mean instead of the values.
Products of float32 are three of tf32 each (`tf32x3`), which is as good as float32 and runs on the tensor cores.

Imported when a call needs it, since triton is optional.
"""

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from .paged import PagedFrame
from .tiles_triton import hadamard_signs, tile, tile_constants

KEYS = {2: 64, 4: 32}
"""Keys a step by bytes of a query's number: several small frames at once, and no more than registers hold."""

WARPS, STAGES = 4, 2


def frame_attention(frame: PagedFrame) -> Tensor:
    """As `kernels.paged_attention`, for codecs of floating point, "int8" and "int4"; P and D at most 128."""
    q, table = frame.q, frame.table
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    own = [x.to(q.dtype).contiguous() for x in (q, frame.own_keys, frame.own_values)]
    # Without scales the codes stand in, unread.
    stored = [parts[i] for parts in (frame.key_parts, frame.value_parts) for i in (0, -1)]
    sink = [x.to(q.dtype).contiguous() for x in (frame.sink_key, frame.sink_value)]
    where = table.contiguous(), frame.visible.contiguous().view(torch.uint8)
    compiled = constants(q, frame.key_parts, table.shape[1])
    with torch.cuda.device_of(q):  # Triton launches on the current device, which may be another
        frame_kernel[q.shape[:2]](*own, *stored, *where, *sink, out, **compiled)
    return out


def constants(q: Tensor, key_parts: Sequence[Tensor], columns: int) -> dict[str, object]:
    """What the kernel is compiled for, by name."""
    width = q.shape[-1]
    own = {"C": columns, "N": KEYS[q.element_size()], "SCALE": width**-0.5 * math.log2(math.e)}
    return {**tile_constants(q, key_parts, width), **own, "num_warps": WARPS, "num_stages": STAGES}


@triton.jit
def frame_kernel(
    q, own_keys, own_values, key_codes, key_scales, value_codes, value_scales,
    table, visible, sink_key, sink_value, out,
    H: tl.constexpr, P: tl.constexpr, D: tl.constexpr, C: tl.constexpr, N: tl.constexpr, BITS: tl.constexpr,
    PP: tl.constexpr, DP: tl.constexpr, SCALE: tl.constexpr,
):  # fmt: skip
    """Tiles are (PP, DP) queries and (N, DP) keys: P, D and C * P rounded up, the rest masked."""
    row, head, p, d, token, inside = tile(H, P, D, PP, DP)
    frame = token[:, None] * D + d[None, :]
    query = tl.load(q + frame, mask=inside, other=0.0)
    looking = query
    if BITS == 4:
        looking = _turned(query, d, D).to(query.dtype)
    sink = tl.load(sink_key + head * D + d, mask=d < D, other=0.0).to(tl.float32)
    sink_logit = tl.sum(query.to(tl.float32) * sink[None, :], 1) * SCALE
    peak = sink_logit  # finite, so that rows which see no page need no care
    total = tl.zeros((PP,), tl.float32)
    mean = tl.zeros((PP, DP), tl.float32)
    for first in range(0, C * P, N):
        n = first + tl.arange(0, N)
        column = row * C + n // P
        seen = tl.load(visible + column, mask=n < C * P, other=0) != 0
        at = (tl.load(table + column, mask=seen, other=0) * H + head) * P + n % P
        keys = _numbers(key_codes, at, seen, d, D, BITS).to(query.dtype)
        logits = tl.dot(looking, tl.trans(keys), input_precision="tf32x3") * SCALE
        values = _numbers(value_codes, at, seen, d, D, BITS)
        if BITS != 0:
            logits *= tl.load(key_scales + at, mask=seen, other=0.0)[None, :]
            values = values.to(tl.float32) * tl.load(value_scales + at, mask=seen, other=0.0)[:, None]
        logits = tl.where(seen[None, :], logits, float("-inf"))
        peak, total, mean = _joined(peak, total, mean, logits, values.to(query.dtype))
    if BITS == 4:
        mean = _turned(mean.to(query.dtype), d, D)
    keys = tl.load(own_keys + frame, mask=inside, other=0.0)
    values = tl.load(own_values + frame, mask=inside, other=0.0)
    logits = tl.dot(query, tl.trans(keys), input_precision="tf32x3") * SCALE
    logits = tl.where((p < P)[None, :], logits, float("-inf"))
    peak, total, mean = _joined(peak, total, mean, logits, values)
    sink = tl.load(sink_value + head * D + d, mask=d < D, other=0.0).to(tl.float32)
    weight = tl.exp2(sink_logit - peak)
    mean = (mean + weight[:, None] * sink[None, :]) / (total + weight)[:, None]
    tl.store(out + frame, mean.to(query.dtype), mask=inside)


@triton.jit
def _numbers(codes, at, seen, d, D: tl.constexpr, BITS: tl.constexpr):
    """(N, DP) codes or plain numbers of tokens `at`."""
    mask = seen[:, None] & (d < D)[None, :]
    if BITS == 4:  # each byte is read twice by neighbours, which costs no memory traffic
        half = D // 2
        byte = tl.load(codes + at[:, None] * half + (d % half)[None, :], mask=mask, other=0)
        nibble = (byte.to(tl.int32) >> (d // half * 4)[None, :]) & 15
        return (nibble ^ 8) - 8
    else:
        return tl.load(codes + at[:, None] * D + d[None, :], mask=mask, other=0)


@triton.jit
def _joined(peak, total, mean, logits, values):
    """The running softmax with some more keys: logits (PP, N) in powers of 2, values (N, DP)."""
    new = tl.maximum(peak, tl.max(logits, 1))
    fade = tl.exp2(peak - new)
    weights = tl.exp2(logits - new[:, None])
    more = tl.dot(weights.to(values.dtype), values, input_precision="tf32x3")
    return new, total * fade + tl.sum(weights, 1), mean * fade[:, None] + more


@triton.jit
def _turned(x, d, D: tl.constexpr):
    """Tile x (PP, DP) times the Hadamard matrix of `kernels.hadamard`; +-1 is exact in every type."""
    return tl.dot(x, hadamard_signs(d, d, D).to(x.dtype), input_precision="tf32x3") * (D & -D) ** -0.5
