"""Noise that belongs to one environment: a counter-based generator, so that a dream never depends on its batch.

Each row of a batch has its own seed and its own counter; the words are Philox4x32-10 of (seed, counter, stream, block).
No state is kept and no row sees another. The normals use only operations that IEEE 754 rounds exactly (+, -, *, /,
sqrt), one kernel each, so that the same seed and counter give the same bits in every batch size and on every device.

A step needs few numbers and hundreds of small operations for them, so on a CPU NumPy computes them, whose calls cost a
fraction of torch's; on a GPU torch does. Both run this one code, over what the two libraries name alike.

# B rows, K blocks of four 32-bit words
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
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


def philox(counter: Any, key: Any) -> Any:
    """Ten rounds of Philox4x32.

    Args:
        counter: long (4, ...), words in [0, 2**32), lowest word first; a tensor or an int64 array.
        key: long (2, ...), words in [0, 2**32), with as many axes; broadcast against a counter word. Like `counter`.

    Returns:
        Long (4, ...): four random words in [0, 2**32). Like `counter`.
    """
    # A 64-bit product wraps to the right bits, whatever its sign; the mask after the xor takes the low word back. Each
    # round exchanges the two halves; instead of moving them, the constants alternate, and ten rounds bring them back.
    lib = _library(counter)
    (forth, back), bumps = _constants(lib, getattr(counter, "device", None), counter.ndim - 1)
    keys = lib.stack((_swapped(key), key)) + bumps  # (5, 2, 2, ...)
    even, odd = counter[0::2], counter[1::2]
    for turn in range(_ROUNDS):
        product = even * (back if turn % 2 else forth)
        even = product >> 32
        even ^= keys[turn // 2, turn % 2]
        even ^= _swapped(odd)
        even &= _WORD
        odd = product
    odd = odd & _WORD
    return lib.stack((even[0], odd[0], even[1], odd[1]))


def _library(array: Any) -> ModuleType:
    return torch if isinstance(array, Tensor) else np


def _swapped(halves: Any) -> Any:
    return halves[::-1] if isinstance(halves, np.ndarray) else halves.flip(0)


def _near(*rows: Tensor) -> tuple[Any, ...]:
    """The same numbers where they are computed: as arrays if they lie on the CPU, else as they are."""
    return tuple(row.numpy() if row.device.type == "cpu" else row for row in rows)


def _tensor(numbers: Any) -> Tensor:
    """The same numbers where the seeds lie, whatever torch's default device is."""
    return torch.from_numpy(numbers) if isinstance(numbers, np.ndarray) else numbers


@functools.cache
def _constants(lib: ModuleType, device: Any, dims: int) -> tuple[Any, Any]:
    """The multipliers (forth, back) and what each pair of rounds adds to the key, over `dims` trailing axes."""
    ones = [1] * dims
    multipliers = lib.asarray((_MULTIPLIER, _MULTIPLIER[::-1]), dtype=lib.int64, device=device)
    bumps = lib.asarray(_BUMPS, dtype=lib.int64, device=device)
    return multipliers.reshape(2, 2, *ones), bumps.reshape(_ROUNDS // 2, 2, 2, *ones)


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
    _check_pair(seed, counter)
    return _tensor(_words(*_near(seed, counter), blocks, stream))


def _words(seed: Any, counter: Any, blocks: int, stream: int) -> Any:
    """See `words`; arrays give an array, tensors a tensor."""
    lib = _library(seed)
    key = lib.stack((seed & _WORD, (seed >> 32) & _WORD))[:, :, None]
    block = lib.empty((4, len(seed), blocks), dtype=lib.int64, device=seed.device)
    block[0] = lib.arange(blocks, device=seed.device)
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
    _check_pair(seed, counter)
    size = math.prod(shape)
    word = _words(*_near(seed, counter), -(-size // 4), stream)
    radius = _radius(word[0::2])
    cosine, sine = _half_turn(word[1::2])
    lib, rows = _library(word), len(seed)
    pairs = lib.empty((rows, word.shape[2], 2, 2), dtype=lib.float32, device=word.device)
    for half in (0, 1):  # pairs lie side by side in a row, so that a longer row begins with the shorter one
        pairs[:, :, half, 0] = cosine[half] * radius[half]
        pairs[:, :, half, 1] = sine[half] * radius[half]
    return _tensor(pairs).view(rows, -1)[:, :size].reshape(rows, *shape)


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


def _check_pair(seed: Tensor, counter: Tensor) -> None:
    for name, value in (("seed", seed), ("counter", counter)):
        if value.dtype != torch.long or value.ndim != 1:
            raise InputError(f"{name}: expected a long tensor of shape (B,), got {value.dtype} {tuple(value.shape)}")
    if seed.shape != counter.shape:
        raise InputError(f"counter: expected shape {tuple(seed.shape)}, got {tuple(counter.shape)}; one for each seed")


def _radius(word: Any) -> Any:
    """sqrt(-2 ln u) of u = (word + 1/2) / 2**32, float32 with a relative error near 1e-7."""
    lib = _library(word)
    unit = lib.asarray(word, dtype=lib.float32) + 0.5
    bits = unit.view(lib.int32)
    # u = mantissa * 2**exponent, mantissa in [0.707, 1.414): ln u = exponent ln 2 + 2 artanh((m - 1) / (m + 1)).
    exponent = (bits - 0x3F3504F3) >> 23
    mantissa = (bits - (exponent << 23)).view(lib.float32)
    ratio = mantissa - 1.0
    mantissa += 1.0
    ratio /= mantissa
    square = ratio * ratio
    series = _polynomial(square, (2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0, 2.0))
    series *= ratio
    exponent -= 32
    series += lib.asarray(exponent, dtype=lib.float32) * math.log(2.0)
    series *= -2.0
    return lib.sqrt(lib.clip(series, 0.0, None))


def _half_turn(word: Any) -> tuple[Any, Any]:
    """Cosine and sine of a uniform angle: 31 bits give half a turn, the last bit adds the other half."""
    lib = _library(word)
    quarter = lib.asarray((word >> 1) - 2**30, dtype=lib.float32) * (math.pi / 2**32)  # in [-pi/4, pi/4)
    square = quarter * quarter
    sine = _polynomial(square, [sign / math.factorial(n) for sign, n in ((1, 9), (-1, 7), (1, 5), (-1, 3), (1, 1))])
    sine *= quarter
    cosine = _polynomial(square, [sign / math.factorial(n) for sign, n in ((1, 8), (-1, 6), (1, 4), (-1, 2), (1, 0))])
    sign = lib.asarray((word & 1) * 2 - 1, dtype=lib.float32)
    double_cosine = cosine * cosine - sine * sine
    double_cosine *= sign
    sine *= cosine
    sine *= 2.0
    sine *= sign
    return double_cosine, sine


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    """Horner's rule, highest power first; each product and sum is rounded by itself."""
    first, second, *rest = coefficients
    value = x * first
    value += second
    for coefficient in rest:
        value *= x
        value += coefficient
    return value
