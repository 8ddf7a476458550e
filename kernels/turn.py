"""RMS norm and rotary turn of queries and keys, in one pass over numbers that are in cache.

# ... leading axes, P tokens, D head width
"""

from __future__ import annotations

import torch
from torch import Tensor


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """Queries or keys (..., P, D), RMS-normed and turned by complex numbers (..., P, D / 2) of length 1.

    A pair of channels i, i + D / 2 is one complex number, so that they come out as neighbours. Products of queries and
    keys do not mind an order that both share.
    """
    pairs = torch.empty(*x.shape[:-1], x.shape[-1] // 2, dtype=turn.dtype, device=x.device)
    torch.complex(*x.to(turn.real.dtype).chunk(2, dim=-1), out=pairs)
    out = torch.view_as_real(pairs).flatten(-2)
    out.mul_(inverse_rms(out))
    pairs.mul_(turn)
    return out


def inverse_rms(x: Tensor) -> Tensor:
    """1 / root mean square over the last axis, as in `torch.nn.functional.rms_norm`."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length.square_().mul_(1 / x.shape[-1]).add_(torch.finfo(x.dtype).eps).rsqrt_()
