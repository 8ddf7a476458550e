"""Attention of the tokens of one frame over what that frame may see; the plain-torch definitions of correct.

# B rows, Q query tokens, K key tokens, H heads, d head width
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

SMALL = 2**10
"""Queries times keys up to which batched products beat torch's fused attention on a CPU, which pays a fixed price for
each row and head: 1.5 to 2.3 times at 4 queries over 29 keys, level at 16 over 273."""


def frame_attention(q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> Tensor:
    """Softmax attention with a visibility mask.

    Args:
        q: (B, Q, H, d) queries.
        k: (B, K, H, d) keys, already rotated.
        v: (B, K, H, d) values.
        visible: (B, Q or 1, K) bool, True where a query may look. Each query must see at least one key.

    Returns:
        (B, Q, H, d).
    """
    out = scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=visible.unsqueeze(1)
    )
    return out.transpose(1, 2)


def frame_attention_reference(q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> Tensor:
    """The same, written out in float64: the oracle of the tests."""
    logits = torch.einsum("bqhd,bkhd->bhqk", q.double(), k.double()) / q.shape[-1] ** 0.5
    weights = logits.masked_fill(~visible.unsqueeze(1), float("-inf")).softmax(-1)
    return torch.einsum("bhqk,bkhd->bqhd", weights, v.double()).to(q.dtype)


def cache_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Softmax attention of one frame over a cache that lies head by head, read where it lies.

    Args:
        q: (B, H, Q, d) queries.
        k: (B, H, K, d) keys, already rotated; a view of which each (K, d) is contiguous.
        v: (B, H, K, d) values, likewise.
        bias: (B, K), 0 where every query may look and -inf where none may; each row has at least one 0.

    Returns:
        (B, H, Q, d).
    """
    b, h, queries, d = q.shape
    if not q.is_cpu or queries * k.shape[2] > SMALL:
        return scaled_dot_product_attention(q, k, v, attn_mask=bias[:, None, None])
    logits = torch.bmm((q * d**-0.5).flatten(0, 1), k.flatten(0, 1).mT).view(b, h, queries, -1)
    weights = (logits + bias[:, None, None]).softmax(-1)
    return torch.bmm(weights.flatten(0, 1), v.flatten(0, 1)).view(b, h, queries, d)
