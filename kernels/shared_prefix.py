"""Attention of many rows that began alike: over what they share as one large product, over the rest row by row.

Source: Hydragen (Juravsky et al., 2024), section 3; here without copies of the prefix, for one frame's queries.

# G groups, R rows of a group, H heads, P queries of a row, S shared keys, K keys of a row alone, D head width
"""

from __future__ import annotations

import torch
from torch import Tensor


def shared_prefix_attention(
    q: Tensor, prefix_keys: Tensor, prefix_values: Tensor, keys: Tensor, values: Tensor, visible: Tensor
) -> Tensor:
    """Softmax attention over a prefix that the rows of a group share and keys of each row's own, as one softmax.

    Args:
        q: (G * R, H, P, D) queries, the rows of a group side by side.
        prefix_keys: (G, H, S, D), all of which every row of the group sees; S is at least 1.
        prefix_values: (G, H, S, D).
        keys: (G * R, H, K, D).
        values: (G * R, H, K, D).
        visible: (G * R, K) bool, which of its own keys a row sees; it may see none.

    Returns:
        (G * R, H, P, D).
    """
    groups, heads, _, width = prefix_keys.shape
    rows, _, tokens, _ = q.shape
    per_group = rows // groups
    wide = q.view(groups, per_group, heads, tokens, width).transpose(1, 2).reshape(groups, heads, -1, width)
    shared, weight = (  # (G, H, R * P, D) and its log-sum-exp (G, H, R * P, 1)
        x.view(groups, heads, per_group, tokens, -1).transpose(1, 2).flatten(0, 1)
        for x in partial_attention(wide, prefix_keys, prefix_values)
    )
    logits = torch.matmul(q * width**-0.5, keys.mT).masked_fill_(~visible[:, None, None], float("-inf"))
    peak = torch.maximum(logits.amax(-1, keepdim=True), weight) if logits.shape[-1] else weight
    private, weight = logits.sub_(peak).exp_(), (weight - peak).exp_()
    total = private.sum(-1, keepdim=True).add_(weight)
    return torch.matmul(private, values).addcmul_(shared, weight).div_(total)


def partial_attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Attention of q (G, H, Q, D) over k and v (G, H, S, D), and the log-sum-exp (G, H, Q, 1) to merge it with more."""
    if q.is_cpu and q.dtype == k.dtype and q.dtype in (torch.float32, torch.float64):
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q, k, v
        )  # what SDPA calls, which drops it
        return out, lse.unsqueeze(-1)
    logits = torch.matmul(q * q.shape[-1] ** -0.5, k.mT)
    lse = logits.logsumexp(-1, keepdim=True)
    return torch.matmul((logits - lse).exp_(), v), lse


def shared_prefix_attention_reference(
    q: Tensor, prefix_keys: Tensor, prefix_values: Tensor, keys: Tensor, values: Tensor, visible: Tensor
) -> Tensor:
    """The same with a copy of the prefix for each row, in float64: the oracle of the tests."""
    per_group = q.shape[0] // prefix_keys.shape[0]
    shared = [x.repeat_interleave(per_group, 0).double() for x in (prefix_keys, prefix_values)]
    k, v = (torch.cat((x, own.double()), dim=2) for x, own in zip(shared, (keys, values), strict=True))
    seen = torch.nn.functional.pad(visible, (prefix_keys.shape[2], 0), value=True)[:, None, None]
    logits = torch.einsum("bhpd,bhkd->bhpk", q.double(), k) / q.shape[-1] ** 0.5
    return torch.einsum("bhpk,bhkd->bhpd", logits.masked_fill(~seen, float("-inf")).softmax(-1), v).to(q.dtype)
