"""Noise that belongs to one environment: a counter-based generator, so that a dream never depends on its batch.

Each row of a batch has its own seed and its own counter; the words are Philox4x32-10 of (seed, counter, stream, block).
No state is kept and no row sees another. The normals use only operations that IEEE 754 rounds exactly (+, -, *, /,
sqrt), one kernel each, so that the same seed and counter give the same bits in every batch size and on every device.

# B rows, K blocks of four 32-bit words
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import InputError

NORMAL_STREAM = 0
"""Stream of the noise that denoising starts from."""
START_STREAM = 1
"""Stream that start contexts are drawn from, so that it never meets the noise."""

# Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011), section 3.3 and table 2.
_ROUNDS = 10
_MULTIPLIER = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_BUMPS = tuple(tuple(turn * step for step in _WEYL[:: -1 if turn % 2 == 0 else 1]) for turn in range(_ROUNDS))
_WORD = 0xFFFFFFFF


def philox(counter: Tensor, key: Tensor) -> Tensor:
    """Ten rounds of Philox4x32.

    Args:
        counter: long (4, ...), words in [0, 2**32), lowest word first.
        key: long (2, ...), words in [0, 2**32), broadcast against a counter word.

    Returns:
        Long (4, ...): four random words in [0, 2**32).
    """
    # A 64-bit product wraps to the right bits, whatever its sign; the mask after the xor takes the low word back. Each
    # round exchanges the two halves; instead of moving them, the constants alternate, and ten rounds bring them back.
    shape = torch.broadcast_shapes(counter.shape[1:], key.shape[1:])
    (forth, back), bumps = _constants(counter.device, len(shape))
    keys = (torch.stack((key.flip(0), key)) + bumps).flatten(0, 1).unbind()
    even, odd = counter[0::2].expand(2, *shape), counter[1::2].expand(2, *shape)
    for turn, round_key in enumerate(keys):
        product = even * (back if turn % 2 else forth)
        even = product >> 32
        even ^= round_key
        even ^= odd.flip(0)
        even &= _WORD
        odd = product
    return torch.stack((even[0], odd[0] & _WORD, even[1], odd[1] & _WORD))


@functools.cache
def _constants(device: torch.device, dims: int) -> tuple[Tensor, Tensor]:
    """The multipliers (forth, back) and what each pair of rounds adds to the key, over `dims` trailing axes."""
    ones = [1] * dims
    multipliers = torch.tensor((_MULTIPLIER, _MULTIPLIER[::-1]), device=device).view(2, 2, *ones)
    return multipliers, torch.tensor(_BUMPS, device=device).view(_ROUNDS // 2, 2, 2, *ones)


def words(seed: Tensor, counter: Tensor, blocks: int, *, stream: int = NORMAL_STREAM) -> Tensor:
    """Random 32-bit words of each row.

    Args:
        seed: long (B,), the row's key; all 64 bits count.
        counter: long (B,), how many draws came before; 64 bits.
        blocks: K, how many blocks of four words each row gets.
        stream: which of the independent streams of a seed.

    Returns:
        Long (4, B, K) in [0, 2**32).

    Raises:
        InputError: if `seed` and `counter` are not long tensors of one shape (B,).
    """
    _check_rows("seed", seed)
    _check_rows("counter", counter)
    if seed.shape != counter.shape:
        raise InputError(f"counter: expected shape {tuple(seed.shape)}, got {tuple(counter.shape)}; one for each seed")
    key = torch.stack((seed & _WORD, (seed >> 32) & _WORD))[:, :, None]
    block = torch.zeros(4, *seed.shape, blocks, dtype=torch.long, device=seed.device)
    block[0] = torch.arange(blocks, device=seed.device)
    block[1] = stream
    block[2] = (counter & _WORD)[:, None]
    block[3] = ((counter >> 32) & _WORD)[:, None]
    return philox(block, key)


def normal(
    seed: Tensor, counter: Tensor, shape: Sequence[int], device: torch.device | str | None = None, *, stream: int = 0
) -> Tensor:
    """Standard normal noise of each row, by Box and Muller.

    Args:
        seed: long (B,).
        counter: long (B,).
        shape: shape of one row's noise.
        device: where the noise is made; by default where `seed` lies.
        stream: which of the independent streams of a seed.

    Returns:
        Float32 (B, *shape). Row b depends on seed[b], counter[b], `stream` and the size of `shape` alone; |x| < 6.8.

    Raises:
        InputError: if `seed` and `counter` are not long tensors of one shape (B,).

    Example:
        >>> noise = normal(torch.tensor([7, 8]), torch.tensor([0, 0]), (3,))
        >>> bool((normal(torch.tensor([8]), torch.tensor([0]), (3,)) == noise[1:]).all())
        True
    """
    if device is not None:
        seed, counter = seed.to(device), counter.to(device)
    size = math.prod(shape)
    word = words(seed, counter, -(-size // 4), stream=stream)
    radius = _radius(word[0::2])
    cosine, sine = _half_turn(word[1::2])
    # Pairs lie side by side in a row, so that a longer row begins with the shorter one.
    pairs = torch.stack((cosine.mul_(radius), sine.mul_(radius)), dim=-1)  # (2, B, K, 2)
    return pairs.permute(1, 2, 0, 3).reshape(seed.shape[0], -1)[:, :size].reshape(seed.shape[0], *shape)


def integers(seed: Tensor, counter: Tensor, high: int, *, stream: int = START_STREAM) -> Tensor:
    """One uniform integer of [0, high) for each row.

    Args:
        seed: long (B,).
        counter: long (B,).
        high: number of values, 1 to 2**31; the bias of each is below high / 2**32.
        stream: which of the independent streams of a seed.

    Returns:
        Long (B,).

    Raises:
        InputError: if `high` is out of range or the rows are not long tensors of one shape (B,).
    """
    if not 1 <= high <= 2**31:
        raise InputError(f"high: expected 1 to 2**31, got {high}; draw from a smaller set")
    return (words(seed, counter, 1, stream=stream)[0, :, 0] * high) >> 32


def _check_rows(name: str, value: Tensor) -> None:
    if value.dtype != torch.long or value.ndim != 1:
        raise InputError(f"{name}: expected a long tensor of shape (B,), got {value.dtype} {tuple(value.shape)}")


def _radius(word: Tensor) -> Tensor:
    """sqrt(-2 ln u) of u = (word + 1/2) / 2**32, float32 with a relative error near 1e-7."""
    unit = word.to(torch.float32).add_(0.5)
    bits = unit.view(torch.int32)
    # u = mantissa * 2**exponent, mantissa in [0.707, 1.414): ln u = exponent ln 2 + 2 artanh((m - 1) / (m + 1)).
    exponent = (bits - 0x3F3504F3) >> 23
    mantissa = (bits - (exponent << 23)).view(torch.float32)
    ratio = (mantissa - 1.0).div_(mantissa.add_(1.0))
    square = ratio * ratio
    series = square * (2.0 / 9.0)
    for divisor in (7.0, 5.0, 3.0):
        series.add_(2.0 / divisor).mul_(square)
    log = series.add_(2.0).mul_(ratio).add_(exponent.sub_(32).to(torch.float32).mul_(math.log(2.0)))
    return log.mul_(-2.0).clamp_(min=0.0).sqrt_()


def _half_turn(word: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of a uniform angle: 31 bits give half a turn, the last bit adds the other half."""
    quarter = ((word >> 1) - 2**30).to(torch.float32).mul_(math.pi / 2**32)  # in [-pi/4, pi/4)
    square = quarter * quarter
    sine = square * (1.0 / math.factorial(9))
    for term in (-1.0 / math.factorial(7), 1.0 / math.factorial(5), -1.0 / math.factorial(3)):
        sine.add_(term).mul_(square)
    sine.add_(1.0).mul_(quarter)
    cosine = square * (1.0 / math.factorial(8))
    for term in (-1.0 / math.factorial(6), 1.0 / math.factorial(4), -1.0 / math.factorial(2)):
        cosine.add_(term).mul_(square)
    cosine.add_(1.0)
    sign = ((word & 1) * 2 - 1).to(torch.float32)
    double_cosine = (cosine * cosine).sub_(sine * sine).mul_(sign)
    double_sine = sine.mul_(cosine).mul_(2.0).mul_(sign)
    return double_cosine, double_sine
