"""The dynamics one frame at a time over a ring cache: the same numbers as the parallel form, at the price of a frame.

# B envs, N tokens, C channels, D width, A action size, W window
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..cache import FrameCache, empty_cache, write_frame
from .dit import Dynamics


def new_cache(dynamics: Dynamics, rows: int) -> FrameCache:
    """An empty cache for `rows` environments on the device and in the dtype of `dynamics`."""
    c, weight = dynamics.config, dynamics.head.weight
    return empty_cache(rows, c.depth, c.window, c.num_tokens, c.width, device=weight.device, dtype=weight.dtype)


def estimate(
    dynamics: Dynamics, cache: FrameCache, base: Tensor, noised: Tensor, level: Tensor, action: Tensor
) -> Tensor:
    """Estimate y (B, N, C) of the next frame as target.

    Args:
        dynamics: the network.
        cache: the committed frames.
        base: (B, N, C) the last committed latent.
        noised: (B, N, C) y_tau.
        level: (B,) tau.
        action: (B, A) action that leads to the frame, in [-1, 1].
    """
    x = dynamics.tokens(noised.unsqueeze(1), base.unsqueeze(1))
    condition = dynamics.condition(action.unsqueeze(1), level.unsqueeze(1), target=True)
    x, _, _ = _run(dynamics, cache, cache.cached, x, condition)
    return dynamics.answer(x, condition)[:, 0]


def commit(
    dynamics: Dynamics,
    cache: FrameCache,
    base: Tensor,
    latent: Tensor,
    level: Tensor,
    action: Tensor,
    write: Tensor | None = None,
) -> FrameCache:
    """The cache after the frame `latent` (B, N, C), reached from `base` by `action` and held at noise `level`."""
    x = dynamics.tokens(((latent - base) / dynamics.delta_scale).unsqueeze(1), latent.unsqueeze(1))
    condition = dynamics.condition(action.unsqueeze(1), level.unsqueeze(1), target=False)
    rows = torch.arange(latent.shape[0], device=latent.device)
    visible = cache.cached.clone()
    visible[rows, cache.position % dynamics.config.window] = False  # the slot that this frame takes over
    _, keys, values = _run(dynamics, cache, visible, x, condition)
    return write_frame(cache, keys, values, write)


def _run(
    dynamics: Dynamics, cache: FrameCache, visible: Tensor, x: Tensor, condition: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """All blocks over one frame x (B, 1, N, D); also its keys and values, each (B, L, N, D)."""
    b, _, n, d = x.shape
    angle = dynamics.angles(cache.position.unsqueeze(1))
    visible = torch.cat((visible.repeat_interleave(n, 1), visible.new_ones(b, n)), dim=1).unsqueeze(1)
    all_keys, all_values = [], []
    for layer, block in enumerate(dynamics.blocks):
        modulation = block.modulate(condition)
        q, k, v = (y.flatten(1, 2) for y in block.project(x, modulation, angle))
        all_keys.append(k.flatten(-2))
        all_values.append(v.flatten(-2))
        heads = (block.heads, d // block.heads)
        keys = torch.cat((cache.keys[:, layer].flatten(1, 2).unflatten(-1, heads).to(k.dtype), k), dim=1)
        values = torch.cat((cache.values[:, layer].flatten(1, 2).unflatten(-1, heads).to(v.dtype), v), dim=1)
        x = block.finish(x, block.attend(q, keys, values, visible).reshape(b, 1, n, d), modulation)
    return x, torch.stack(all_keys, 1), torch.stack(all_values, 1)
