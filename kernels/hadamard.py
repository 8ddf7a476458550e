"""The rotation before coarse codes: it spreads an outlying channel over its neighbours, so that one scale fits all.

Orthonormal and symmetric, therefore its own inverse; it costs nothing in attention error, only a small product.
Source: QuaRot (Ashkboos et al., 2024), section 3; Sylvester's construction.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


def hadamard_width(head_dim: int) -> int:
    """The largest power of two that divides `head_dim`: channels are turned in blocks of so many."""
    return head_dim & -head_dim


def hadamard(x: Tensor) -> Tensor:
    """Turn the channels of x (..., D), each block of `hadamard_width(D)` by itself; twice gives x again."""
    width = hadamard_width(x.shape[-1])
    matrix = hadamard_matrix(width, x.dtype, x.device)
    return (x.unflatten(-1, (-1, width)) @ matrix).flatten(-2)


@cache
def hadamard_matrix(width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(width, width) with entries +-1 / sqrt(width)."""
    index = torch.arange(width, device=device)
    common, odd = index[:, None] & index, torch.zeros(width, width, dtype=torch.long, device=device)
    while bool(common.any()):  # the parity of the bits that row and column share is the sign
        odd, common = odd ^ (common & 1), common >> 1
    return (1 - 2 * odd).to(dtype) * width**-0.5
