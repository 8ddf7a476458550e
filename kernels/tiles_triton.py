"""What the GPU kernels over pages have in common: a program does one row and head, and holds a frame as a tile.

Imported when a call needs it, since triton is optional.

# B rows, H heads, P tokens of a frame, D head width
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor


def tile_constants(x: Tensor, parts: Sequence[Tensor], width: int) -> dict[str, object]:
    """What a kernel is compiled for, by name, for frames x (B, H, P, D) and tiles of `width` channels."""
    _, heads, tokens, channels = x.shape
    bits = 0 if len(parts) == 1 else 8 if parts[0].dtype == torch.int8 else 4
    padded = {"PP": max(16, triton.next_power_of_2(tokens)), "DP": max(16, triton.next_power_of_2(width))}
    return {"H": heads, "P": tokens, "D": channels, "BITS": bits, **padded}


@triton.jit
def tile(H: tl.constexpr, P: tl.constexpr, W: tl.constexpr, PP: tl.constexpr, DP: tl.constexpr):
    """Row and head; the tile's tokens (PP,) and channels (DP,); the tokens' places among all rows' and heads'; a mask.

    The mask (PP, DP) is of the P tokens and W channels that there are.
    """
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    p, d = tl.arange(0, PP), tl.arange(0, DP)
    return row, head, p, d, (row * H + head) * P + p, (p < P)[:, None] & (d < W)[None, :]


@triton.jit
def hadamard_signs(i, j, D: tl.constexpr):
    """Entries of the matrix for rows i and columns j, times the root of its width; 0 beyond D and between blocks."""
    width: tl.constexpr = D & -D
    common = i[:, None] & j[None, :] & (width - 1)
    common ^= common >> 4
    common ^= common >> 2
    common ^= common >> 1
    block = (i // width)[:, None] == (j // width)[None, :]
    return tl.where(block & (i < D)[:, None] & (j < D)[None, :], 1.0 - 2.0 * (common & 1), 0.0)
