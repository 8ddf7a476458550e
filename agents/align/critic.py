"""Expects the reward to come from where a dream stands; it never sees the noise of the denoising.

# B rows and frames, N tokens, C channels, A action size
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 128


class Critic(nn.Module):
    """A latent and the action to come -> the return expected from there, (...).

    Args:
        latent_dim: N * C.
        action_dim: A.
    """

    def __init__(self, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        first, middle, last = nn.Linear(latent_dim + action_dim, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 1)
        self.net = nn.Sequential(first, nn.SiLU(), middle, nn.SiLU(), last)

    def forward(self, latent: Tensor, action: Tensor) -> Tensor:
        """(..., N, C) and (..., A) in [-1, 1] -> (...)."""
        return self.net(torch.cat((latent.flatten(-2), action), dim=-1)).squeeze(-1)
