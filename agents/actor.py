"""Who acts: what recordings and evaluations ask of a policy that is the user's own.

# B envs, A action size
"""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray


class Actor(Protocol):
    """Anything that acts on a batch of observations. It may keep a memory for each row: all rows come in every call."""

    def reset(self, mask: Any) -> None:
        """Told which rows (B,) begin an episode, before it acts on their first observations."""

    def act(self, obs: Any) -> NDArray:
        """Actions (B, A) in the task's own units for observations (B, ...)."""
        ...
