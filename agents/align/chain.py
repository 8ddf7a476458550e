"""A frame's denoising as a chain of Gaussian choices, whose probabilities are exact: what PPO needs of a generator.

The flow's own steps are deterministic given the noise they start from. Here every step adds noise of its own to the
place where the flow would go, so that each is a Gaussian action. Two ways: `BoundedNoise`, learned and bounded
(ReinFlow, arXiv 2505.22094, section 4: any number of steps, one included), and `FlowNoise`, the stochastic differential
equation with the flow's own marginals (Flow-GRPO, arXiv 2505.05470, equation 9: two steps or more). Both serve for
learning only; dreams are made without either.

y_tau = (1 - tau) y + tau eps as in `wmenv.sampling`; levels fall from 1 to 0 in S equal steps.

# ... rows and frames, N tokens, C channels, D width, A action size, S steps
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from wmenv import InputError, sampling

LOG_TAU = math.log(2 * math.pi)


class Gaussian(NamedTuple):
    """Independent normal numbers."""

    mean: Tensor  # (..., N, C)
    std: Tensor  # (..., N, C), positive


class Noise(Protocol):
    """How far a denoising step may stray."""

    def step(self, y: Tensor, answer: Tensor, base: Tensor, action: Tensor, level: float, lower: float) -> Gaussian:
        """Where y goes from `level` to `lower`.

        Args:
            y: (..., N, C) at `level`.
            answer: (..., N, C) the network's estimate of y at level 0.
            base: (..., N, C) the latent before the frame.
            action: (..., A) in [-1, 1].
            level: Noise level, in (0, 1].
            lower: The next, in [0, level).
        """
        ...


class BoundedNoise(nn.Module):
    """Noise whose size is learned between two bounds, from where the dream stands and what it is told to do.

    Args:
        latent: (N, C).
        action_dim: A.
        low: Least standard deviation, in units of a latent's usual change.
        high: Largest.
        width: D of the network.
    """

    def __init__(self, latent: tuple[int, int], action_dim: int, low: float, high: float, width: int = 64) -> None:
        if not 0 < low <= high:
            raise InputError(f"noise: expected 0 < low <= high, got {low!r} and {high!r}")
        super().__init__()
        self.latent, self.low, self.high = latent, low, high
        size = latent[0] * latent[1]
        self.net = nn.Sequential(nn.Linear(size + action_dim + 1, width), nn.SiLU(), nn.Linear(width, size))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def step(self, y: Tensor, answer: Tensor, base: Tensor, action: Tensor, level: float, lower: float) -> Gaussian:
        """See `Noise`."""
        seen = torch.cat((base.flatten(-2), action, torch.full_like(action[..., :1], level)), dim=-1)
        share = torch.sigmoid(self.net(seen)).unflatten(-1, self.latent)
        std = self.low * (self.high / self.low) ** share  # between the bounds on a scale of ratios
        return Gaussian(flow(y, answer, level, lower), std)


class FlowNoise(nn.Module):
    """Noise that leaves every level's distribution as the flow has it; the last step's is what is left at `lower`.

    Args:
        size: a in s = a sqrt(t / (1 - t)).
        least: Smallest standard deviation of a step; the last would have none.
    """

    def __init__(self, size: float = 0.7, least: float = 0.02) -> None:
        if not (size > 0 and least > 0):
            raise InputError(f"noise: expected a size and a least above 0, got {size!r} and {least!r}")
        super().__init__()
        self.size, self.least = size, least

    def step(self, y: Tensor, answer: Tensor, base: Tensor, action: Tensor, level: float, lower: float) -> Gaussian:
        """See `Noise`."""
        change, t = lower - level, min(level, (1 + lower) / 2)  # s is infinite at t = 1
        s = self.size * math.sqrt(t / (1 - t))
        speed = (y - answer) / level
        mean = y + (speed + s**2 / (2 * t) * (y + (1 - t) * speed)) * change
        if lower == 0:
            mean = answer
        std = max(s * math.sqrt(-change), self.least) if lower > 0 else self.least
        return Gaussian(mean, torch.full_like(mean, std))


class Still:
    """No noise: the flow itself, as dreams are made that nobody learns from."""

    def step(self, y: Tensor, answer: Tensor, base: Tensor, action: Tensor, level: float, lower: float) -> Gaussian:
        """See `Noise`."""
        return Gaussian(flow(y, answer, level, lower), torch.zeros_like(y))


def flow(y: Tensor, answer: Tensor, level: float, lower: float) -> Tensor:
    """Where the flow itself goes."""
    one = torch.ones(1, device=y.device, dtype=y.dtype)
    return sampling.euler(y, answer, one * level, one * lower)


def levels(steps: int) -> list[tuple[float, float]]:
    """(level, lower) of each of S denoising steps."""
    return [(1 - k / steps, 1 - (k + 1) / steps) for k in range(steps)]


def log_prob(value: Tensor, chosen: Gaussian, used: Tensor) -> Tensor:
    """Log density (...) of `value` (..., N, C), over the numbers that are `used` (N, C) bool."""
    z = (value - chosen.mean) / chosen.std
    return (-0.5 * (z.square() + LOG_TAU) - chosen.std.log()).mul(used).sum((-2, -1))


def divergence(p: Gaussian, q: Gaussian, used: Tensor) -> Tensor:
    """KL(p || q) (...) in closed form, over the numbers that are `used` (N, C) bool."""
    ratio = (p.std / q.std).square()
    away = ((p.mean - q.mean) / q.std).square()
    return (0.5 * (ratio + away - 1 - ratio.log())).mul(used).sum((-2, -1))
