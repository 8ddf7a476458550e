"""State vectors as tokens: the coordinates of each joint or body, in units of their own spread, side by side.

The map is affine and exactly invertible, so nothing is lost here and 'decoding' a dream gives SI units again.

# B rows (any leading axes), S state coordinates, N tokens, C channels
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def group_slots(groups: Sequence[int], max_tokens: int) -> tuple[list[int], int, int]:
    """Place each coordinate in a token.

    Args:
        groups: for each coordinate the joint or body that it belongs to.
        max_tokens: neighbouring joints share a token when there are more joints than this.

    Returns:
        (slot of each coordinate in the flattened (N * C) token, N, C).
    """
    order = list(dict.fromkeys(groups))
    tokens = min(len(order), max_tokens)
    token_of = {group: rank * tokens // len(order) for rank, group in enumerate(order)}
    filled = [0] * tokens
    places = []
    for group in groups:
        token = token_of[group]
        places.append((token, filled[token]))
        filled[token] += 1
    channels = max(filled)
    return [token * channels + channel for token, channel in places], tokens, channels


def unit_vectors(names: Sequence[str]) -> list[list[int]]:
    """Which coordinates are together one vector of length 1: the cosine and sine of an angle, a quaternion.

    Args:
        names: of the coordinates, such as "cos:joint0 [1]" or "qpos:root.qw [1]" (docs/tasks.md).

    Returns:
        The indices of each vector's coordinates.
    """
    place = {name.split(" ")[0]: index for index, name in enumerate(names)}
    found = []
    for name in place:
        parts = [name, name.replace("cos:", "sin:")] if name.startswith("cos:") else []
        if name.startswith("qpos:") and name.endswith(".qw"):
            parts = [name[:-1] + axis for axis in "wxyz"]
        if parts and all(part in place for part in parts):
            found.append([place[part] for part in parts])
    return found


class StateTokenizer(nn.Module):
    """Normalise a state vector and lay it out as (N, C) tokens; empty channels hold zero.

    Args:
        slots: place of each coordinate in the flattened tokens.
        num_tokens: N.
        token_dim: C.
        units: coordinates that are together a vector of length 1, see `unit_vectors`.
    """

    def __init__(
        self, slots: Sequence[int], num_tokens: int, token_dim: int, units: Sequence[Sequence[int]] = ()
    ) -> None:
        super().__init__()
        self.num_tokens, self.token_dim = num_tokens, token_dim
        self.grid: tuple[int, int] = (num_tokens, 1)
        self.register_buffer("slots", torch.tensor(list(slots), dtype=torch.long))
        self.register_buffer("mean", torch.zeros(len(slots)))
        self.register_buffer("scale", torch.ones(len(slots)))
        sizes = sorted({len(unit) for unit in units})  # all angles together, all rotations together
        for size in sizes:
            alike = torch.tensor([list(unit) for unit in units if len(unit) == size])
            self.register_buffer(f"units_of_{size}", alike, persistent=False)
        self._unit_names = [f"units_of_{size}" for size in sizes]  # by name, since a move to a device makes new buffers
        self.slots: Tensor
        self.mean: Tensor
        self.scale: Tensor

    def fit(self, states: Tensor) -> None:
        """Take mean and spread from recorded states (M, S). A coordinate that never moves gets scale 1."""
        self.mean.copy_(states.mean(0))
        spread = states.std(0)
        self.scale.copy_(torch.where(spread > 1e-6, spread, torch.ones_like(spread)))

    def encode(self, obs: Tensor) -> Tensor:
        """States (..., S) in SI units -> latents (..., N, C)."""
        flat = obs.new_zeros(*obs.shape[:-1], self.num_tokens * self.token_dim)
        flat[..., self.slots] = (obs - self.mean) / self.scale
        return flat.unflatten(-1, (self.num_tokens, self.token_dim))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (..., N, C) -> states (..., S) in SI units."""
        return latents.flatten(-2)[..., self.slots] * self.scale + self.mean

    def project(self, latents: Tensor) -> Tensor:
        """The nearest latents (..., N, C) that are a state: angles and rotations of length 1.

        A dream's errors would add up in those lengths, which nothing real has and no verifier of motions can see.
        """
        if not self._unit_names:
            return latents
        state = self.decode(latents)
        for name in self._unit_names:
            unit = getattr(self, name)  # (U, 2) of angles or (U, 4) of rotations
            state[..., unit] = nn.functional.normalize(state[..., unit], dim=-1)
        return self.encode(state)

    # ---- streaming: a state needs no memory

    def stream_start(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """First states (B, S) -> (memory (B, 0), latent (B, N, C))."""
        return obs.new_zeros(obs.shape[0], 0), self.encode(obs)

    def stream_step(self, memory: Tensor, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Next states (B, S) -> (memory, latent)."""
        return memory, self.encode(obs)
