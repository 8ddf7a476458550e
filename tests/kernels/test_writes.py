"""cache_write against its oracle: what is in the pages afterwards, what is not, and the op's contract."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels.writes as writing
from kernels import Int2, cache_write, codec_named, turned

EXACT = {"fp64": 2e-6, "fp32": 2e-6, "bf16": 4e-2, "fp16": 4e-3, "int8": 5e-2, "int4": 2.0}
"""A number that lies between two codes may become either, so that they differ by one step of the code at most."""


def draw(rows: int, tokens: int, width: int, seed: int, *, shared: bool) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    angle = 6 * torch.rand(1 if shared else rows, tokens, width // 2, generator=generator)
    return torch.randn(rows, 2, tokens, width, generator=generator), torch.polar(torch.ones_like(angle), angle)


@pytest.mark.parametrize("codec", EXACT)
@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 5),
    tokens=st.integers(1, 6),
    width=st.sampled_from([8, 24, 64]),
    seed=st.integers(0, 2**31),
    shared=st.booleans(),
    keys=st.booleans(),
)
def test_pages_hold_what_the_oracle_says(
    codec: str, rows: int, tokens: int, width: int, seed: int, shared: bool, keys: bool
):
    x, turn = draw(rows, tokens, width, seed, shared=shared)
    coder, pages = codec_named(codec), torch.randperm(9, generator=torch.Generator().manual_seed(seed))[:rows]
    parts, wanted = (coder.empty(9, 2, tokens=tokens, head_dim=width, device="cpu") for _ in range(2))
    cache_write(x, parts, pages, coder, turn if keys else None)
    writing._reference(x, list(wanted), pages, coder, torch.view_as_real(turn) if keys else None)
    difference = (coder.decode(parts, torch.float64) - coder.decode(wanted, torch.float64)).abs()
    assert float(difference.max()) <= EXACT[codec] and float(difference.mean()) <= EXACT[codec] / 20
    others = torch.ones(9, dtype=torch.bool).index_fill(0, pages, False)
    assert not any(part[others].any() for part in parts)


def test_a_turn_is_a_rotation_of_normed_pairs():
    x, turn = draw(2, 3, 16, 0, shared=False)
    out = turned(x, turn.unsqueeze(1))
    assert torch.allclose(out.square().mean(-1), torch.ones(2, 2, 3), atol=1e-5)
    still = turned(x, torch.ones_like(turn).unsqueeze(1))
    normed = torch.nn.functional.rms_norm(x, (16,))
    torch.testing.assert_close(still, normed.unflatten(-1, (2, -1)).mT.flatten(-2), rtol=0, atol=1e-6)


def test_a_spare_page_may_be_named_by_many_rows():
    x, _ = draw(4, 3, 16, 0, shared=True)
    coder = codec_named("int8")
    parts = coder.empty(5, 2, tokens=3, head_dim=16, device="cpu")
    cache_write(x, parts, torch.tensor([2, 4, 4, 1]), coder)
    wanted = coder.decode(coder.encode(x), torch.float32)
    assert torch.equal(coder.decode(tuple(p[[2, 1]] for p in parts), torch.float32), wanted[[0, 3]])
    assert not any(part[[0, 3]].any() for part in parts)


@pytest.mark.parametrize("codec", ["fp32", "int2"])
def test_the_op_keeps_its_contract(codec: str):
    x, turn = draw(2, 3, 16, 0, shared=False)
    generator = torch.Generator().manual_seed(0)
    book = Int2.fit(torch.randn(256, 16, generator=generator), generator=generator, iterations=1)
    coder = book if codec == "int2" else codec_named(codec)
    parts = list(coder.empty(5, 2, tokens=3, head_dim=16, device="cpu"))
    fitted = coder.codebook if codec == "int2" else None
    torch.library.opcheck(writing._op, (x, parts, torch.tensor([3, 1]), codec, torch.view_as_real(turn), fitted))
