"""Rotary position in three axes, so that attention sees how far apart two tokens are in time, height and width.

# ... any leading axes, N tokens, H heads, d head width
"""

from __future__ import annotations

import torch
from torch import Tensor


def axis_split(head_dim: int) -> tuple[int, int, int]:
    """How many of `head_dim` channels turn with time, height and width: one half, one quarter, one quarter."""
    quarter = head_dim // 8 * 2
    return head_dim - 2 * quarter, quarter, quarter


def angles(time: Tensor, row: Tensor, column: Tensor, head_dim: int, *, base: float = 100.0) -> Tensor:
    """Rotation angles of tokens at (time, row, column), each (...), as (..., head_dim / 2) radians.

    Source: RoPE, arXiv 2104.09864, eq. 15, one block of frequencies per axis (as in video DiTs). Windows here are tens
    of frames long, so the base is 100, not 10,000: slower channels would hardly turn.
    """
    parts = []
    for position, width in zip((time, row, column), axis_split(head_dim), strict=True):
        frequency = base ** (-torch.arange(0, width, 2, device=position.device, dtype=torch.float32) / max(width, 1))
        parts.append(position.float().unsqueeze(-1) * frequency)
    return torch.cat(parts, dim=-1)


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """Turn channel pairs of x (..., N, H, d) by angle (..., N, d / 2)."""
    cos, sin = angle.cos().unsqueeze(-2).to(x.dtype), angle.sin().unsqueeze(-2).to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)
