"""The latents that some frame has: few directions are free, all others follow from them.

A frame shows few things that move, so its latents lie on a thin curved sheet. A network's constant error of a
hundredth of a usual change a step adds up in the directions across the sheet, where nothing holds it: dreams of a
pendulum stood after 400 steps at up to 65 times the spread that recorded latents have there, and what a policy learns
from such latents is not what it will read in reality (docs/design.md).

# M latents, N tokens, C channels, D = N * C, K directions that may be free, P products
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOST_FREE = 16
TRIED = tuple(range(4, MOST_FREE + 1, 2))  # numbers of free directions
LEFT = 0.005  # usual changes squared, mean over D: what a real latent may be moved by
SAMPLE = 16_384  # latents that are fitted to, at most
RIDGE = 10.0  # latents' worth of belief that a direction follows from nothing
STILL = 1e-6  # usual changes
BOUNDLESS = 1e6  # usual changes
BLOCK = 200  # neighbouring latents that are held out together; they are nearly the same picture


class LatentManifold(nn.Module):
    """Puts latents back among those that were recorded.

    Along the directions of the largest spread (principal components) a latent stays where it is, within what was
    recorded. How many these are is found when it is fitted: the fewest whose products of two and cubes foretell all
    others. Those others are set to what is foretold. Of a recording with too many free directions, or too short to
    tell, latents are only held within their range; before a fit nothing is changed.
    """

    def __init__(self, num_tokens: int, token_dim: int) -> None:
        super().__init__()
        size = num_tokens * token_dim
        self.most = min(MOST_FREE, size)
        pairs = torch.triu_indices(self.most, self.most)
        self.register_buffer("pairs", pairs, persistent=False)
        for name, value in (
            ("unit", torch.ones(size)),
            ("middle", torch.zeros(size)),
            ("basis", torch.eye(size)),
            ("low", torch.full((size,), -BOUNDLESS)),
            ("high", torch.full((size,), BOUNDLESS)),
            ("free", torch.ones(size, dtype=torch.bool)),
            ("spread", torch.ones(self.most)),
            ("foretold", torch.zeros(1 + 2 * self.most + pairs.shape[1], size)),
        ):
            self.register_buffer(name, value)
        self.pairs: Tensor  # (2, P)
        self.unit: Tensor  # (D,) usual changes
        self.middle: Tensor  # (D,)
        self.basis: Tensor  # (D, D) directions in columns, the largest spread first
        self.low: Tensor  # (D,) along each direction
        self.high: Tensor
        self.free: Tensor  # (D,) bool
        self.spread: Tensor  # (K,)
        self.foretold: Tensor  # (1 + 2 K + P, D)

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (..., N, C) -> the nearest recorded ones, as far as is known."""
        with torch.autocast(latents.device.type, enabled=False):
            at = self._along(latents.float()).clamp(self.low, self.high)
            foretold = (self._features(at) @ self.foretold).clamp(self.low, self.high)
            at = torch.where(self.free, at, foretold)
            return ((at @ self.basis.T + self.middle) * self.unit).view_as(latents).to(latents.dtype)

    @torch.no_grad()
    def fit(self, latents: Tensor, unit: Tensor) -> int:
        """Learn the sheet from recorded latents (M, N, C); `unit` (N, C) is their usual change from frame to frame.

        Returns:
            How many directions are free.
        """
        self.unit.copy_(unit.flatten())
        sample = (latents[:: -(-len(latents) // SAMPLE)].flatten(1).to(unit.device) / self.unit).double()
        self.middle.copy_(sample.mean(0))
        at = sample - self.middle
        _, basis = torch.linalg.eigh(at.T @ at)
        self.basis.copy_(basis.flip(1))
        at = at @ self.basis.double()
        self.low.copy_(at.amin(0))
        self.high.copy_(at.amax(0))
        self.spread.copy_(at[:, : self.most].square().mean(0).sqrt().clamp(min=STILL))
        self.free.fill_(True)
        self.foretold.zero_()
        features = self._features(at)
        held_out = torch.arange(len(at), device=at.device) // BLOCK % 5 == 4
        learned = features[~held_out]
        normal, moment = learned.T @ learned, learned.T @ at[~held_out]
        for count in (k for k in TRIED if k <= self.most):
            known = self._told_by(count)
            ridge = RIDGE * torch.eye(int(known.sum()), dtype=at.dtype, device=at.device)
            weights = torch.linalg.solve(normal[known][:, known] + ridge, moment[known])
            error = (features[held_out][:, known] @ weights - at[held_out])[:, count:]
            if error.square().sum(1).mean() <= LEFT * at.shape[1]:
                self.free[count:] = False
                self.foretold[known] = weights.float()
                return count
        return at.shape[1]

    def _along(self, latents: Tensor) -> Tensor:
        return (latents.flatten(-2) / self.unit - self.middle) @ self.basis

    def _features(self, at: Tensor) -> Tensor:
        """(..., 1 + 2 K + P) of the free directions: one, themselves, their cubes and products; 0 for the others."""
        x = at[..., : self.most] / self.spread * self.free[: self.most]
        return torch.cat((torch.ones_like(x[..., :1]), x, x**3, x[..., self.pairs[0]] * x[..., self.pairs[1]]), dim=-1)

    def _told_by(self, count: int) -> Tensor:
        """(1 + 2 K + P,) bool, the features of the first `count` directions alone."""
        one = torch.arange(self.most, device=self.pairs.device) < count
        return torch.cat((torch.ones_like(one[:1]), one, one, (self.pairs < count).all(0)))
