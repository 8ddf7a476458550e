"""Keys and values in 2 bits a number: the nearest of 256 fitted centres, and what is left of it in four levels.

Plain 2-bit codes lose attention (a relative error near 0.7); most of a token's norm is in what all tokens of a head
share, and that is what the centres hold.

# ... leading axes, P tokens, D head width, C = 256 centres
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from .codecs import FLOOR, SLACK, CodecError, check_head_dim
from .hadamard import hadamard, hadamard_width

CENTRES = 256
GAUSSIAN_STEP = 0.9957
"""Distance between four even levels that suit a Gaussian best, in standard deviations (Max, 1960, table II)."""


@dataclass(frozen=True, slots=True, eq=False)
class Int2:
    """An 8-bit index of a centre, a float32 scale and 2 bits a number for each token.

    Levels are -3/2, -1/2, 1/2 and 3/2 of the scale. Channel j + i * D / 4 lies in bits 2 i of byte j.

    Args:
        codebook: (..., C, D) float32 centres of turned tokens; its leading axes are broadcast against those of what is
            encoded. It belongs to the model, not to a cache, and is not counted in `bits_per_number`: 64 kB a head at
            D = 64.
    """

    codebook: Tensor
    name: str = field(default="int2", init=False)

    @classmethod
    def fit(cls, samples: Tensor, *, generator: torch.Generator, iterations: int = 10) -> Self:
        """Fit centres to samples by Lloyd's algorithm, each leading axis by itself.

        Args:
            samples: (..., N, D) keys and values as they are stored, that is rotated; for `of`, (L, 2, H, N, D).
            generator: draws the centres to begin with, on the CPU.
            iterations: of Lloyd's algorithm.

        Raises:
            CodecError: fewer than 256 samples.
        """
        check_head_dim("int2", samples.shape[-1])
        count = samples.shape[-2]
        if count < CENTRES:
            raise CodecError(f"samples: int2 needs at least {CENTRES} tokens a head, got {count}; sample more frames")
        leading = samples.shape[:-2]
        heads = hadamard(samples.float()).reshape(-1, count, samples.shape[-1])
        first = torch.randperm(count, generator=generator)[:CENTRES].to(samples.device)
        books = [_lloyd(head, head[first].clone(), iterations) for head in heads]
        return cls(torch.stack(books).unflatten(0, leading) if leading else books[0])

    def of(self, layer: int, side: int) -> Int2:
        """The codec of one layer's keys (side 0) or values (side 1), from a codebook (L, 2, H, C, D)."""
        return Int2(self.codebook[layer, side])

    def bits_per_number(self, head_dim: int) -> float:
        """2 bits, and for each token an index of 8 bits and a float32."""
        return 2 + (8 + 32) / head_dim

    def empty(self, *leading: int, tokens: int, head_dim: int, device: torch.device) -> tuple[Tensor, ...]:
        """Codes (*leading, tokens, head_dim / 4) and indices (*leading, tokens), uint8; scales (*leading, tokens)."""
        check_head_dim(self.name, head_dim)
        return (
            torch.zeros(*leading, tokens, head_dim // 4, dtype=torch.uint8, device=device),
            torch.zeros(*leading, tokens, dtype=torch.uint8, device=device),
            torch.zeros(*leading, tokens, dtype=torch.float32, device=device),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """Turn, find the centre, round what is left to the nearest level."""
        index, rest, scale = self._split(x)
        codes = (rest / scale + 1.5).round().clamp(0, 3).to(torch.uint8)
        packed = torch.zeros_like(codes[..., : codes.shape[-1] // 4])
        for i, quarter in enumerate(codes.chunk(4, dim=-1)):
            packed |= quarter << (2 * i)
        return packed, index.to(torch.uint8), scale.squeeze(-1)

    def decode(self, parts: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
        """Centre and levels, turned back."""
        return hadamard(self.decode_turned(parts)).to(dtype)

    def decode_turned(self, parts: tuple[Tensor, ...]) -> Tensor:
        """(..., P, D) float32 without turning back, for a query that has been turned likewise."""
        packed, index, scale = parts
        levels = torch.cat([(packed >> (2 * i)) & 3 for i in range(4)], dim=-1) - 1.5
        return torch.addcmul(self._centre(index.long()), levels, scale.unsqueeze(-1))

    def error_bound(self, x: Tensor) -> Tensor:
        """Half a scale, or what lies beyond the last level, for each turned number; sqrt(width) fall together.

        Depends on how near a centre is, so that it is known only for a given x.
        """
        _, rest, scale = self._split(x)
        each = torch.maximum(scale / 2, rest.abs().amax(-1, keepdim=True) - 1.5 * scale)
        width = hadamard_width(x.shape[-1]) ** 0.5
        rounding = 2**-20 * width * (x.float().abs().amax(-1, keepdim=True) + self.codebook.abs().max())
        return each * width * SLACK + rounding

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Index of the nearest centre (..., P), the rest of the turned token (..., P, D), its scale (..., P, 1)."""
        check_head_dim(self.name, x.shape[-1])
        if x.shape[-1] != self.codebook.shape[-1]:
            raise CodecError(f"head_dim: the codebook was fitted at {self.codebook.shape[-1]}, got {x.shape[-1]}")
        turned = hadamard(x.float())
        index = _nearest(turned, self.codebook)
        rest = turned - self._centre(index)
        # Divided by its peak first: squares of large numbers overflow.
        peak = rest.abs().amax(-1, keepdim=True).clamp_min(FLOOR)
        scale = (rest / peak).square().mean(-1, keepdim=True).sqrt() * peak * GAUSSIAN_STEP
        return index, rest, scale.clamp_min(FLOOR)

    def _centre(self, index: Tensor) -> Tensor:
        """Centres (..., P, D) by index (..., P)."""
        book = self.codebook.expand(*index.shape[:-1], *self.codebook.shape[-2:])
        return book.gather(-2, index.unsqueeze(-1).expand(*index.shape, book.shape[-1]))


def _nearest(x: Tensor, book: Tensor) -> Tensor:
    """Index (..., P) of the centre nearest to x (..., P, D): |x|^2 is the same for all and left out."""
    return (x @ book.mT - book.square().sum(-1).unsqueeze(-2) / 2).argmax(-1)


def _lloyd(samples: Tensor, centres: Tensor, iterations: int) -> Tensor:
    """Centres (C, D) after that many steps over samples (N, D); a centre without samples stays where it is."""
    for _ in range(iterations):
        owner = _nearest(samples, centres)
        count = torch.bincount(owner, minlength=len(centres)).unsqueeze(-1)
        sums = torch.zeros_like(centres).index_add_(0, owner, samples)
        centres = torch.where(count > 0, sums / count.clamp_min(1), centres)
    return centres
