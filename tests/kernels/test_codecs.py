"""Codecs: what is decoded is as near as stated, for any numbers; sizes as stated; attention over them as measured."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels import Codec, CodecError, Int2, codec_named
from kernels.hadamard import hadamard, hadamard_matrix, hadamard_width

NAMED = ["fp64", "fp32", "bf16", "fp16", "int8", "int4"]
ALL = [*NAMED, "int2"]


def make(name: str, head_dim: int, *, seed: int = 0) -> Codec:
    if name != "int2":
        return codec_named(name)
    generator = torch.Generator().manual_seed(seed)
    return Int2.fit(torch.randn(300, head_dim, generator=generator), generator=generator, iterations=2)


@st.composite
def tokens(draw: st.DrawFn) -> Tensor:
    """(P, D): each token of a size of its own, with zeros and outlying channels."""
    head_dim = 8 * draw(st.sampled_from([1, 2, 3, 5, 7, 8, 9, 16]))
    exponents = draw(st.lists(st.integers(-45, 36), min_size=1, max_size=6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.rand(len(exponents), head_dim, generator=generator) * 2 - 1
    x[torch.rand(x.shape, generator=generator) < draw(st.sampled_from([0.0, 0.5, 0.98]))] = 0
    x[:, draw(st.integers(0, head_dim - 1))] *= draw(st.sampled_from([0.0, 1.0, 100.0]))
    # In float64, and clamped: what is beyond 1e36 no codec promises to hold.
    return (x.double() * 10.0 ** torch.tensor(exponents, dtype=torch.float64)[:, None]).clamp(-1e36, 1e36).float()


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=60, deadline=None)
@given(x=tokens())
def test_what_is_decoded_is_within_the_stated_bound(name: str, x: Tensor):
    codec = make(name, x.shape[-1])
    back = codec.decode(codec.encode(x), torch.float64)
    assert back.shape == x.shape
    bound = codec.error_bound(x).double()
    error = (back - x.double()).abs()
    assert bool((error <= bound).all()), f"{(error - bound).max()} beyond the bound"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("head_dim", [8, 24, 64])
def test_parts_have_the_shapes_of_empty_storage_and_the_stated_size(name: str, head_dim: int):
    codec = make(name, head_dim)
    x = torch.randn(3, 2, 5, head_dim)
    parts, storage = codec.encode(x), codec.empty(3, 2, tokens=5, head_dim=head_dim, device=torch.device("cpu"))
    assert [(p.shape, p.dtype) for p in parts] == [(s.shape, s.dtype) for s in storage]
    assert all(s.shape[:3] == (3, 2, 5) and not s.any() for s in storage)
    assert sum(p.nbytes for p in parts) * 8 == codec.bits_per_number(head_dim) * x.numel()


@pytest.mark.parametrize(("name", "ratio"), [("bf16", 1.0), ("int8", 1.8), ("int4", 3.2), ("int2", 5.0)])
def test_sizes_against_bf16(name: str, ratio: float):
    assert 16 / make(name, 64).bits_per_number(64) >= ratio


@pytest.mark.parametrize("name", NAMED)
def test_zeros_come_back_as_zeros_from_empty_storage_too(name: str):
    codec = codec_named(name)
    for parts in (codec.encode(torch.zeros(2, 3, 16)), codec.empty(2, tokens=3, head_dim=16, device="cpu")):
        assert torch.equal(codec.decode(parts, torch.float32), torch.zeros(2, 3, 16))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [n for n in ALL if n != "fp16"])
def test_a_token_that_is_not_finite_does_not_come_back_finite(name: str, bad: float):
    codec = make(name, 16)
    x = torch.ones(2, 16)
    x[1, 3] = bad
    back = codec.decode(codec.encode(x), torch.float32)
    assert bool(back[0].isfinite().all()) and not bool(back[1].isfinite().all())


@pytest.mark.parametrize(("name", "wanted"), [("int8", 0.02), ("int4", 0.2), ("int2", 0.45), ("bf16", 0.01)])
def test_attention_over_decoded_keys_with_outlying_channels(name: str, wanted: float):
    """Relative error of attention of 16 queries over 256 tokens, 4 of the 64 channels ten times the others."""
    generator = torch.Generator().manual_seed(1)
    shape = (2, 4, 256, 64)
    styles = torch.randn(4, 40, 64, generator=generator)  # what tokens of a head have in common
    styles[..., ::16] *= 10
    pick = torch.randint(40, (2, 4, 256), generator=generator)
    keys, values = (
        torch.stack([styles[h][pick[:, h]] for h in range(4)], 1) + 0.3 * torch.randn(shape, generator=generator)
        for _ in range(2)
    )
    keys = torch.nn.functional.rms_norm(keys, (64,))
    query = torch.nn.functional.rms_norm(torch.randn(2, 4, 16, 64, generator=generator), (64,))
    coded = []
    for x in (keys, values):
        codec = codec_named(name) if name != "int2" else Int2.fit(x[0], generator=generator)
        coded.append(codec.decode(codec.encode(x), torch.float32))
    attend = torch.nn.functional.scaled_dot_product_attention
    exact = attend(query, keys, values)
    assert float((attend(query, *coded) - exact).norm() / exact.norm()) < wanted


def test_a_fitted_codec_has_a_codebook_for_each_layer_side_and_head():
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(2, 2, 3, 400, 16, generator=generator)
    codec = Int2.fit(samples, generator=generator, iterations=2)
    assert codec.codebook.shape == (2, 2, 3, 256, 16)
    one, x = codec.of(1, 0), torch.randn(5, 3, 4, 16, generator=generator)
    head = Int2(codec.codebook[1, 0, 2])
    parts = one.encode(x)
    for whole, single in zip(parts, head.encode(x[:, 2]), strict=True):
        assert torch.equal(whole[:, 2], single)
    torch.testing.assert_close(
        one.decode(parts, torch.float32)[:, 2], head.decode(head.encode(x[:, 2]), torch.float32), rtol=0, atol=1e-6
    )


def test_centres_lie_where_the_samples_are():
    generator = torch.Generator().manual_seed(0)
    styles = torch.randn(100, 32, generator=generator) * 5
    samples = styles.repeat(8, 1) + 1e-3 * torch.randn(800, 32, generator=generator)
    codec = Int2.fit(samples, generator=generator)
    near = torch.cdist(hadamard(styles), codec.codebook).amin(-1) < 1e-2
    assert near.float().mean() > 0.8  # those of which no sample was drawn to begin with stay without a centre
    first, again = (Int2.fit(samples, generator=torch.Generator().manual_seed(1)).codebook for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: codec_named("int3"), "int3"),
        (lambda: codec_named("int2"), "Int2.fit"),
        (lambda: codec_named("int8", "mps"), "mps"),
        (lambda: codec_named("int4").encode(torch.zeros(2, 12)), "multiple of 8"),
        (lambda: Int2.fit(torch.zeros(100, 16), generator=torch.Generator()), "256"),
        (lambda: make("int2", 16).encode(torch.zeros(2, 24)), "fitted at 16"),
    ],
)
def test_errors_say_what_is_wrong(call, says: str):
    with pytest.raises(CodecError, match=says):
        call()


@pytest.mark.parametrize("head_dim", [8, 24, 64, 96])
def test_the_turn_is_orthonormal_and_its_own_inverse(head_dim: int):
    x = torch.randn(5, head_dim, dtype=torch.float64)
    torch.testing.assert_close(hadamard(hadamard(x)), x, rtol=0, atol=1e-12)
    width = hadamard_width(head_dim)
    matrix = hadamard_matrix(width, torch.float64, x.device)
    assert head_dim % width == 0 and torch.equal(matrix, matrix.T)
    torch.testing.assert_close(matrix @ matrix, torch.eye(width, dtype=torch.float64))
