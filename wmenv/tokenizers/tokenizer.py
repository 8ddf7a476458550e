"""What the world model asks of a tokenizer."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Tokenizer(Protocol):
    """Observations to latents of unit scale and back."""

    num_tokens: int
    token_dim: int
    grid: tuple[int, int]

    def encode(self, obs: Tensor) -> Tensor:
        """Observations (B, T, ...) of whole clips -> latents (B, T, N, C)."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, T, N, C) -> observations (B, T, ...)."""
        ...

    def project(self, latents: Tensor) -> Tensor:
        """The nearest latents (..., N, C) that some observation has, as far as that is known."""
        ...

    def stream_start(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """First observation (B, ...) -> (memory (B, M), latent (B, N, C))."""
        ...

    def stream_step(self, memory: Tensor, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Next observation -> (memory, latent), the same latent that `encode` gives."""
        ...
