"""How a frame's keys and values are stored: as they are, or in 8 or 4 bits a number with a scale for each token.

A decoded frame is wrong by what its codec states and no more: `error_bound`. Scales are float32, not float16: values
are not normed, so a float16 scale could overflow or vanish, and at D = 64 it would save a quarter of a bit a number.

# ... any leading axes (pages, heads), P tokens of a frame, D head width, a multiple of 8
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from .hadamard import hadamard, hadamard_width

DEVICES = ("cpu", "cuda")
"""Kinds of device on which the codecs are tested."""

FLOOR = torch.finfo(torch.float32).tiny
"""Least scale: below it float32 loses digits. Numbers so small are stored as 0, which is closer than half a scale."""

SLACK = 1 + 2**-12
"""What float32 rounding may add to a bound."""


class CodecError(ValueError):
    """A codec that does not exist, or cannot do what was asked of it."""


class Codec(Protocol):
    """A way to store x (..., P, D). All of its parts begin with the axes (..., P).

    Numbers must be finite and at most 1e36 in magnitude. A token with another number in it decodes to a token that is
    not finite, except in "fp16", which saturates.
    """

    @property
    def name(self) -> str:
        """As `codec_named` and files know it."""
        ...

    def bits_per_number(self, head_dim: int) -> float:
        """Bits of storage for one number, a token's scale and other side data included."""
        ...

    def empty(self, *leading: int, tokens: int, head_dim: int, device: torch.device) -> tuple[Tensor, ...]:
        """Storage of zeros for x (*leading, tokens, head_dim)."""
        ...

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The parts of x (..., P, D)."""
        ...

    def decode(self, parts: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
        """(..., P, D) from its parts, computed in float32 or wider and then rounded to `dtype`."""
        ...

    def error_bound(self, x: Tensor) -> Tensor:
        """(..., P, 1): how far any number of a token may be from x once decoded to float32, or wider."""
        ...

    def of(self, layer: int, side: int) -> Codec:
        """The codec of one layer's keys (side 0) or values (side 1); the same for all unless it was fitted."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """Numbers as a floating-point type holds them. float16 saturates at 65504."""

    name: str
    dtype: torch.dtype

    def bits_per_number(self, head_dim: int) -> float:
        """8 bits a byte; there is no side data."""
        return 8.0 * self.dtype.itemsize

    def empty(self, *leading: int, tokens: int, head_dim: int, device: torch.device) -> tuple[Tensor, ...]:
        """One part, (*leading, tokens, head_dim)."""
        return (torch.zeros(*leading, tokens, head_dim, dtype=self.dtype, device=device),)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """Round to nearest."""
        if self.dtype == torch.float16 and x.dtype != torch.float16:
            x = x.clamp(-65504, 65504)
        return (x.to(self.dtype),)

    def decode(self, parts: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
        """The stored numbers in another type."""
        return parts[0].to(dtype)

    def error_bound(self, x: Tensor) -> Tensor:
        """Half a unit in the last place of the largest number: eps / 2 of it, or half the least subnormal.

        float16 is wrong by |x| - 65504 where it saturates.
        """
        peak, info = _peak(x).double(), torch.finfo(self.dtype)
        if torch.finfo(x.dtype).eps >= info.eps and self.dtype != torch.float16:
            return torch.zeros_like(peak)
        bound = peak * info.eps / 2 + info.smallest_normal * info.eps / 2
        return torch.maximum(bound, peak - 65504) if self.dtype == torch.float16 else bound

    def of(self, layer: int, side: int) -> Self:
        """The same for all."""
        return self


@dataclass(frozen=True, slots=True)
class Int8:
    """Codes -127 to 127 of a token's scale, which is its largest magnitude / 127."""

    name: str = "int8"

    def bits_per_number(self, head_dim: int) -> float:
        """8 bits, and a float32 for each token."""
        return 8 + 32 / head_dim

    def empty(self, *leading: int, tokens: int, head_dim: int, device: torch.device) -> tuple[Tensor, ...]:
        """Codes (*leading, tokens, head_dim) int8 and scales (*leading, tokens) float32."""
        return (
            torch.zeros(*leading, tokens, head_dim, dtype=torch.int8, device=device),
            torch.zeros(*leading, tokens, dtype=torch.float32, device=device),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """Round to nearest, ties to even."""
        x, scale = x.float(), _scale(x, 127)
        return (x / scale).round().clamp(-127, 127).to(torch.int8), scale.squeeze(-1)

    def decode(self, parts: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
        """Codes times scale."""
        codes, scale = parts
        return (codes * scale.unsqueeze(-1)).to(dtype)

    def error_bound(self, x: Tensor) -> Tensor:
        """Half a scale."""
        return _scale(x, 127) / 2 * SLACK

    def of(self, layer: int, side: int) -> Self:
        """The same for all."""
        return self


@dataclass(frozen=True, slots=True)
class Int4:
    """Codes -7 to 7 of a token's scale after a Hadamard turn, two a byte.

    Channel j is the low half of byte j, channel j + D / 2 the high. The turned token's largest magnitude is 7 scales.
    """

    name: str = "int4"

    def bits_per_number(self, head_dim: int) -> float:
        """4 bits, and a float32 for each token."""
        return 4 + 32 / head_dim

    def empty(self, *leading: int, tokens: int, head_dim: int, device: torch.device) -> tuple[Tensor, ...]:
        """Codes (*leading, tokens, head_dim / 2) uint8 and scales (*leading, tokens) float32."""
        check_head_dim(self.name, head_dim)
        return (
            torch.zeros(*leading, tokens, head_dim // 2, dtype=torch.uint8, device=device),
            torch.zeros(*leading, tokens, dtype=torch.float32, device=device),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """Turn, round to nearest, pack as two's complement of 4 bits."""
        check_head_dim(self.name, x.shape[-1])
        turned = hadamard(x.float())
        scale = _scale(turned, 7)
        codes = (turned / scale).round().clamp(-7, 7).to(torch.int8).view(torch.uint8) & 15
        low, high = codes.chunk(2, dim=-1)
        return low | (high << 4), scale.squeeze(-1)

    def decode(self, parts: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
        """Unpack, scale, turn back."""
        return hadamard(self.decode_turned(parts)).to(dtype)

    def decode_turned(self, parts: tuple[Tensor, ...]) -> Tensor:
        """(..., P, D) float32 without turning back, for a query that has been turned likewise."""
        packed, scale = parts
        codes = torch.cat((packed & 15, packed >> 4), dim=-1).view(torch.int8)
        return ((codes ^ 8) - 8) * scale.unsqueeze(-1)

    def error_bound(self, x: Tensor) -> Tensor:
        """Half a scale for each turned number, of which sqrt(width) fall together at worst."""
        return _scale(hadamard(x.float()), 7) / 2 * hadamard_width(x.shape[-1]) ** 0.5 * SLACK

    def of(self, layer: int, side: int) -> Self:
        """The same for all."""
        return self


CODECS: dict[str, Codec] = {
    "fp64": Plain("fp64", torch.float64),
    "fp32": Plain("fp32", torch.float32),
    "bf16": Plain("bf16", torch.bfloat16),
    "fp16": Plain("fp16", torch.float16),
    "int8": Int8(),
    "int4": Int4(),
}
"""The codecs that need no fitting."""


def codec_named(name: str, device: torch.device | str = "cpu") -> Codec:
    """The codec of that name.

    Args:
        name: "fp64", "fp32", "bf16", "fp16", "int8" or "int4". "int2" has to be fitted: `Int2.fit`.
        device: where it is to be used.

    Raises:
        CodecError: an unknown name, a codec that must be fitted first, or a device on which none is supported.
    """
    kind = torch.device(device).type
    if kind not in DEVICES:
        raise CodecError(f"device: codecs are supported on {' and '.join(DEVICES)}, got {kind!r}; move the model there")
    if name == "int2":
        raise CodecError("codec: 'int2' is fitted to sample keys and values; make one with Int2.fit(samples)")
    if name not in CODECS:
        raise CodecError(f"codec: expected one of {', '.join(CODECS)} or a fitted int2, got {name!r}")
    return CODECS[name]


def check_head_dim(name: str, head_dim: int) -> None:
    """Raise `CodecError` unless packed codes fill whole bytes."""
    if head_dim % 8:
        raise CodecError(f"head_dim: codec {name!r} needs a multiple of 8, got {head_dim}; use int8 or a plain codec")


def _peak(x: Tensor) -> Tensor:
    return x.abs().amax(-1, keepdim=True)


def _scale(x: Tensor, levels: int) -> Tensor:
    return (_peak(x).float() / levels).clamp_min(FLOOR)
