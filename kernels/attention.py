"""Attention of the tokens of one frame over what that frame may see; the plain-torch definition of correct.

# B rows, Q query tokens, K key tokens, H heads, d head width
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


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
