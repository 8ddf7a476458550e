"""The optimizer of a generator that is tuned: its steps suit how wrong the model is, and how large."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from wmenv import WorldModel

from .config import AlignConfig

LARGEST_AT_FULL_RATE = 400_000  # up to which a network learns at the configured rate, as those of the study do


def generator_optimizer(
    model: WorldModel, config: AlignConfig, error: float, others: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """AdamW over the model's dynamics, which from now on can be learned, and over `others` at the critic's rate.

    The rate is in proportion to the model's `error`, in usual changes of a latent, and falls with its number of
    weights: Adam moves each of them equally far, whatever the gradient, so that the more there are, the farther the
    answer moves (docs/alignment.md).
    """
    weights = list(model.dynamics.requires_grad_(True).parameters())
    size = sum(parameter.numel() for parameter in weights)
    groups = [{"params": weights, "lr": config.learning_rate * error * min(1.0, LARGEST_AT_FULL_RATE / size)}]
    rest = list(others)
    if rest:
        groups.append({"params": rest, "lr": config.critic_rate})
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.0)
