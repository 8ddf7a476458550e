"""The noise of a dream: known answers, exactness across batches, and the right distribution."""

import hashlib
import math

import pytest
import torch

from wmenv.errors import InputError
from wmenv.random import NORMAL_STREAM, START_STREAM, integers, normal, philox, words


# Known-answer vectors of the Random123 distribution for philox4x32, ten rounds.
@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_known_answers(counter: list[int], key: list[int], answer: list[int]) -> None:
    assert philox(torch.tensor(counter)[:, None], torch.tensor(key)[:, None])[:, 0].tolist() == answer


def plain_philox(counter: list[int], key: list[int]) -> list[int]:
    """The definition with Python's own integers."""
    for _ in range(10):
        first, second = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [
            (second >> 32) ^ counter[1] ^ key[0],
            second & 0xFFFFFFFF,
            (first >> 32) ^ counter[3] ^ key[1],
            first & 0xFFFFFFFF,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


@pytest.mark.parametrize("seed", [0, 5, 2**40 + 3, 2**63 - 1, -1])
@pytest.mark.parametrize("count", [0, 2**33 + 1])
def test_words_lay_seed_counter_and_stream_out_as_documented(seed: int, count: int) -> None:
    got = words(torch.tensor([seed]), torch.tensor([count]), 3, stream=9)
    for block in range(3):
        key = [seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF]
        assert got[:, 0, block].tolist() == plain_philox([block, 9, count & 0xFFFFFFFF, count >> 32], key)


def test_normal_is_box_muller_of_the_words() -> None:
    seed, counter = torch.arange(50), torch.arange(50) * 7
    word = words(seed, counter, 4, stream=NORMAL_STREAM).double()
    half = torch.div(word[1::2], 2, rounding_mode="floor")
    angle = 2 * (half - 2**30) * math.pi / 2**32
    radius = torch.sqrt(-2 * torch.log((word[0::2] + 0.5) / 2**32)) * (word[1::2] % 2 * 2 - 1)
    pairs = torch.stack((radius * angle.cos(), radius * angle.sin()), dim=-1)
    expected = pairs.permute(1, 2, 0, 3).reshape(50, 16)
    assert torch.allclose(normal(seed, counter, (16,)).double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 4, 5), (2, 16, 8)])
def test_a_row_has_the_same_bits_in_every_batch(shape: tuple[int, ...]) -> None:
    seed = torch.arange(1000) + 11
    counter = torch.arange(1000) % 17
    whole = normal(seed, counter, shape)
    assert whole.shape == (1000, *shape)
    assert whole.dtype == torch.float32
    for batch in (1, 3, 64, 250):
        part = torch.cat([normal(s, c, shape) for s, c in zip(seed.split(batch), counter.split(batch), strict=True)])
        assert torch.equal(part, whole)
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(normal(seed[order], counter[order], shape), whole[order])


def test_threads_do_not_change_the_bits() -> None:
    seed, counter = torch.arange(4096), torch.zeros(4096, dtype=torch.long)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = normal(seed, counter, (37,))
        torch.set_num_threads(3)
        assert torch.equal(normal(seed, counter, (37,)), one)
    finally:
        torch.set_num_threads(threads)


def test_every_machine_gives_the_same_bits() -> None:
    noise = normal(torch.arange(1000) * 2**33, torch.arange(1000) % 17, (37,))
    assert hashlib.sha256(noise.numpy().tobytes()).hexdigest()[:16] == "292ca24f2cde6ce5"


def test_the_default_device_changes_nothing() -> None:
    seed, counter = torch.arange(5), torch.zeros(5, dtype=torch.long)
    noise, drawn = normal(seed, counter, (3,)), integers(seed, counter, 9)
    with torch.device("meta"):
        assert torch.equal(normal(seed, counter, (3,)), noise) and torch.equal(integers(seed, counter, 9), drawn)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_bits() -> None:
    seed, counter = torch.arange(1000) * 2**33, torch.arange(1000) % 17
    assert torch.equal(normal(seed, counter, (37,), device="cuda").cpu(), normal(seed, counter, (37,)))
    assert torch.equal(integers(seed.cuda(), counter.cuda(), 1000).cpu(), integers(seed, counter, 1000))


def test_normal_has_the_moments_of_a_standard_normal() -> None:
    x = normal(torch.arange(1000), torch.full((1000,), 3), (1000,)).double()
    assert x.isfinite().all()
    for power, moment, sigma in ((1, 0, 1), (2, 1, math.sqrt(2)), (3, 0, math.sqrt(15)), (4, 3, math.sqrt(96))):
        assert abs((x**power).mean().item() - moment) < 4 * sigma / 1000
    inside = (x.abs() < 1).double().mean().item()
    assert abs(inside - math.erf(math.sqrt(0.5))) < 4 * 0.47 / 1000
    # Neighbours in the row, in the seed and in the counter are not correlated.
    later = normal(torch.arange(1000), torch.full((1000,), 4), (1000,)).double()
    for other in (x.roll(1, dims=0), x.roll(1, dims=1), later):
        assert abs((x * other).mean().item()) < 4 / 1000


def test_extreme_words_stay_finite() -> None:
    from wmenv.random import _half_turn, _radius

    word = torch.tensor([0, 1, 2**31, 2**32 - 2, 2**32 - 1])
    radius = _radius(word)
    assert radius.isfinite().all()
    assert radius[0].item() == pytest.approx(math.sqrt(2 * 33 * math.log(2)), rel=1e-6)
    assert radius[-1] == 0
    cosine, sine = _half_turn(word)
    assert torch.allclose(cosine**2 + sine**2, torch.ones(5), atol=5e-7)


def test_integers_are_uniform_and_apart_from_the_normals() -> None:
    seed = torch.arange(60_000)
    counter = torch.zeros(60_000, dtype=torch.long)
    drawn = integers(seed, counter, 6)
    counts = torch.bincount(drawn, minlength=6).double()
    assert counts.shape == (6,)
    assert ((counts - 10_000) ** 2 / 10_000).sum().item() < 25  # chi-square, 5 degrees of freedom: p < 2e-4
    assert torch.equal(integers(seed[5:9], counter[5:9], 6), drawn[5:9])
    assert (integers(seed, counter, 1) == 0).all()
    starts = words(seed[:100], counter[:100], 1, stream=START_STREAM)
    assert not (starts == words(seed[:100], counter[:100], 1, stream=NORMAL_STREAM)).any()


def test_bad_rows_are_refused() -> None:
    good = torch.zeros(2, dtype=torch.long)
    with pytest.raises(InputError, match="seed: expected a long tensor"):
        normal(good.int(), good, (1,))
    with pytest.raises(InputError, match="counter: expected shape"):
        normal(good, good[:1], (1,))
    for high in (0, -1, 2**31 + 1):
        with pytest.raises(InputError, match="high: expected"):
            integers(good, good, high)
