"""A flow whose maps are known: y is Gaussian with mean m and spread s, whatever the context.

y_t is then Gaussian with mean (1 - t) m and variance (1 - t)^2 s^2 + t^2, the estimate of y is linear in y_t, and the
flow keeps a point's distance from the mean in units of the spread.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wmenv.data.windows import Clip
from wmenv.objectives.jump import follow

MEAN, SPREAD = 0.7, 0.4


def spread(level: Tensor) -> Tensor:
    """Standard deviation of y_t."""
    return ((1 - level) ** 2 * SPREAD**2 + level**2).sqrt()


def expected(noised: Tensor, level: Tensor) -> Tensor:
    """E[y | y_t]."""
    gain = (1 - level) * SPREAD**2 / spread(level) ** 2
    return MEAN + gain * (noised - (1 - level) * MEAN)


def carried(noised: Tensor, level: Tensor, lower: Tensor) -> Tensor:
    """Where the flow takes y_t at t = `level`."""
    return (1 - lower) * MEAN + spread(lower) / spread(level) * (noised - (1 - level) * MEAN)


def solved(noised: Tensor, there: Tensor, level: Tensor, lower: Tensor) -> Tensor:
    """G of X = (r / t) y_t + (1 - r / t) g; without meaning for a jump of no length."""
    kept = lower / level
    return (there - kept * noised) / (1 - kept)


def toy_clip(rows: int = 6, frames: int = 4, seed: int = 0) -> Clip:
    """Frames whose changes, in units of 2, are what the toy says; the first frame of a third of the clips is none."""
    generator = torch.Generator().manual_seed(seed)
    change = MEAN + SPREAD * torch.randn(rows, frames, 1, 1, generator=generator, dtype=torch.float64)
    first = torch.randn(rows, 1, 1, generator=generator, dtype=torch.float64)
    target = torch.ones(rows, frames, dtype=torch.bool)
    target[::3, 0] = False
    return Clip(
        latent=first.unsqueeze(1) + 2 * change.cumsum(1),
        first=first,
        action=torch.zeros(rows, frames, 1, dtype=torch.float64),
        reward=torch.zeros(rows, frames),
        terminated=torch.zeros(rows, frames, dtype=torch.bool),
        valid=torch.ones(rows, frames, dtype=torch.bool),
        target=target,
    )


class Toy(nn.Module):
    """What all networks of the toy share; answers the estimate of y."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("delta_scale", torch.full((1, 1), 2.0, dtype=torch.float64))

    def forward(
        self, context: Tensor, context_level: Tensor, noised: Tensor, level: Tensor, action: Tensor, valid: Tensor,
        first: Tensor, lower: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """As `Dynamics`."""
        return self.say(noised, level, lower)

    def say(self, noised: Tensor, level: Tensor, lower: Tensor | None) -> Tensor:
        """The answer (B, F, 1, 1) at levels (B, F)."""
        return expected(noised, level[..., None, None])


class Exact(Toy):
    """Knows the flow map in closed form."""

    def say(self, noised: Tensor, level: Tensor, lower: Tensor | None) -> Tensor:
        """See `Toy`."""
        assert lower is not None
        level, lower = level[..., None, None], lower[..., None, None]
        return solved(noised, carried(noised, level, lower), level, lower)


class Composed(Toy):
    """Makes all of the teacher's steps and answers what leads there at once."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid

    def say(self, noised: Tensor, level: Tensor, lower: Tensor | None) -> Tensor:
        """See `Toy`."""
        assert lower is not None
        there = follow(Toy(), toy_clip(*noised.shape[:2]), noised, level, lower, self.grid)
        return solved(noised, there, level[..., None, None], lower[..., None, None])


class Learning(Toy):
    """A line in y_t whose slope and height are learned from the levels; `any_step` says whether from both."""

    def __init__(self, *, any_step: bool) -> None:
        super().__init__()
        self.any_step = any_step
        self.net = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2)).double()

    def say(self, noised: Tensor, level: Tensor, lower: Tensor | None) -> Tensor:
        """See `Toy`."""
        aim = torch.zeros_like(level) if lower is None or not self.any_step else lower
        seen = torch.stack((level, level**2, aim, aim * level), dim=-1).double()
        slope, height = self.net(seen).unsqueeze(-1).unsqueeze(-1).unbind(-3)
        return slope * noised + height
