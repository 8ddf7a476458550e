"""The linear model of the dynamics that a world model has to beat: ridge regression on the same latents.

# M transitions, D numbers of a latent frame, A action size, B rows
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..data.windows import LatentEpisodes

RIDGES = (1e-4, 1e-2, 1.0, 100.0)


class LinearModel(NamedTuple):
    """z_next = [z_now, z_now - z_before, action, 1] @ weight."""

    weight: Tensor  # (2 D + A + 1, D)

    def step(self, before: Tensor, now: Tensor, action: Tensor) -> Tensor:
        """(B, D), (B, D), (B, A) -> (B, D)."""
        return features(before, now, action) @ self.weight


def features(before: Tensor, now: Tensor, action: Tensor) -> Tensor:
    """The regressors, (B, 2 D + A + 1)."""
    return torch.cat((now, now - before, action, torch.ones(len(now), 1)), dim=1)


def fit_linear(data: LatentEpisodes) -> LinearModel:
    """Least squares with the ridge that does best on every fifth transition, then on all."""
    at = torch.arange(len(data.latent))
    first = torch.zeros(len(at), dtype=torch.bool)
    first[data.start] = True
    target = at[~first]
    now = target - 1
    before = torch.where(first[now], now, now - 1)
    z = data.latent.flatten(1).double()
    x, y = features(z[before].float(), z[now].float(), data.action[target]).double(), z[target]
    check = torch.arange(len(x)) % 5 == 0
    eye = torch.eye(x.shape[1], dtype=torch.float64)

    def solve(rows: Tensor, ridge: float) -> Tensor:
        return torch.linalg.solve(x[rows].T @ x[rows] + ridge * eye, x[rows].T @ y[rows])

    def error(ridge: float) -> float:
        return (x[check] @ solve(~check, ridge) - y[check]).square().mean().item()

    best = min(RIDGES, key=error)
    return LinearModel(solve(torch.ones_like(check), best).float())
