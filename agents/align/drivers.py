"""What acts in the dreams that are learned from: the recorded actions, random ones, the current policy, or a mixture.

# B dreams, T frames, A action size, O observation size
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .dreams import Context, Driver

HOLD = 4  # steps for which a random action is held, at most


class Recorded:
    """Does what was done in the recording."""

    def begin(self, context: Context) -> None:
        """See `Driver`."""
        self._actions = context.recorded

    def act(self, t: int, observation: Tensor) -> Tensor:
        """See `Driver`."""
        return self._actions[:, t]


class Random:
    """Uniform actions, each row's held for 1 to `HOLD` steps.

    Args:
        action_dim: A.
        generator: On the CPU.
    """

    def __init__(self, action_dim: int, generator: torch.Generator) -> None:
        self._size, self._generator = action_dim, generator

    def begin(self, context: Context) -> None:
        """See `Driver`."""
        rows, frames = context.recorded.shape[:2]
        drawn = torch.rand(rows, frames, self._size, generator=self._generator) * 2 - 1
        hold = torch.randint(1, HOLD + 1, (rows, 1), generator=self._generator)
        held = torch.arange(frames).expand(rows, -1) // hold
        self._actions = drawn.gather(1, held.unsqueeze(-1).expand_as(drawn)).to(context.recorded)

    def act(self, t: int, observation: Tensor) -> Tensor:
        """See `Driver`."""
        return self._actions[:, t]


class Acting:
    """A policy, with its own exploration noise.

    Args:
        policy: Acts on latent observations, in the task's own units; an `agents.Policy` does.
        low, high: (A,) the task's action box.
    """

    def __init__(self, policy: Any, low: Sequence[float], high: Sequence[float]) -> None:
        self._policy = policy
        self._low, self._high = torch.tensor(low), torch.tensor(high)

    def begin(self, context: Context) -> None:
        """See `Driver`."""

    def act(self, t: int, observation: Tensor) -> Tensor:
        """See `Driver`."""
        action = torch.from_numpy(self._policy.act(observation.cpu().numpy(), deterministic=False))
        unit = (action - (self._low + self._high) / 2) / ((self._high - self._low) / 2)
        return unit.clamp(-1, 1).to(observation)


class Mixture:
    """Each driver acts in its share of the rows.

    Args:
        drivers: With their shares, which are normalised.
    """

    def __init__(self, drivers: Sequence[tuple[Driver, float]]) -> None:
        self._drivers = [(driver, share) for driver, share in drivers if share > 0]

    def begin(self, context: Context) -> None:
        """See `Driver`."""
        rows, total = len(context.recorded), sum(share for _, share in self._drivers)
        ends = [round(rows * sum(s for _, s in self._drivers[: i + 1]) / total) for i in range(len(self._drivers))]
        self._parts = [slice(first, last) for first, last in zip([0, *ends[:-1]], ends, strict=True)]
        for (driver, _), part in zip(self._drivers, self._parts, strict=True):
            driver.begin(Context(*(field[part] for field in context)))

    def act(self, t: int, observation: Tensor) -> Tensor:
        """See `Driver`."""
        acted = [d.act(t, observation[p]) for (d, _), p in zip(self._drivers, self._parts, strict=True)]
        return torch.cat(acted)


class Together:
    """Lets all rows of a group do the same.

    Args:
        driver: Drives the first row of each.
        group: Rows of a group.
    """

    def __init__(self, driver: Driver, group: int) -> None:
        self._driver, self._group = driver, group

    def begin(self, context: Context) -> None:
        """See `Driver`."""
        self._driver.begin(Context(*(field[:: self._group] for field in context)))

    def act(self, t: int, observation: Tensor) -> Tensor:
        """See `Driver`."""
        return self._driver.act(t, observation[:: self._group]).repeat_interleave(self._group, 0)
