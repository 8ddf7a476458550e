"""What the environments of many rows share: how seeds become streams of random numbers, and what leaves for the host.

# N envs
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor


def on_host(seen: Tensor, kind: str, space: Box, *, diverged: bool = False) -> np.ndarray:
    """Observations (K, ...) of a kind as an array of our own, inside the space of one row.

    Where some row has `diverged`, what is no number becomes the one nearest to 0 that is in the space.
    """
    obs = np.array(seen.cpu().numpy())
    if diverged:
        np.nan_to_num(obs, copy=False)
    if diverged or kind == "state":  # latents and frames that are finite are in theirs
        np.clip(obs, space.low, space.high, out=obs)
    return obs


def row_streams(
    new: Sequence[int | None], before: tuple[Tensor, Tensor] | None, entropy: Callable[[], int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Seed and counter (N,) long of every row.

    Args:
        new: (N,) seeds; a row with None goes on in its own stream, or takes one from `entropy` when it never had one.
        before: the rows' seeds and counters so far; None: there are none.
        entropy: a seed of the system, below 2**62.
        device: where the rows lie.
    """
    if before is None:
        first = entropy()
        seeds = [first + i if one is None else one for i, one in enumerate(new)]
        seed = torch.tensor(seeds, dtype=torch.long, device=device)
        return seed, torch.zeros_like(seed)
    changed = [i for i, one in enumerate(new) if one is not None]
    if not changed:
        return before
    seed, counter = (field.clone() for field in before)
    seed[changed] = torch.tensor([new[i] for i in changed], dtype=torch.long, device=device)
    counter[changed] = 0
    return seed, counter
