"""Attention over a shared prefix is attention over copies of it, to float32's last digits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels import shared_prefix_attention, shared_prefix_attention_reference
from kernels.shared_prefix import partial_attention


def draw(groups: int, rows: int, tokens: int, shared: int, own: int, width: int, seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    heads, n = 2, groups * rows
    shapes = ((n, heads, tokens), (groups, heads, shared), (groups, heads, shared), (n, heads, own), (n, heads, own))
    q, pk, pv, k, v = (torch.randn(*shape, width, generator=generator) for shape in shapes)
    q, pk, k = (torch.nn.functional.rms_norm(x, (width,)) for x in (q, pk, k))  # as the model's are
    return q, pk, pv, k, v, torch.rand(n, own, generator=generator) < 0.5


@settings(max_examples=60, deadline=None)
@given(
    groups=st.integers(1, 3),
    rows=st.integers(1, 9),
    tokens=st.sampled_from([1, 4, 16]),
    shared=st.integers(1, 40),
    own=st.integers(0, 20),
    width=st.sampled_from([8, 32]),
    seed=st.integers(0, 2**31),
)
def test_equals_the_oracle(groups: int, rows: int, tokens: int, shared: int, own: int, width: int, seed: int):
    args = draw(groups, rows, tokens, shared, own, width, seed)
    wanted = shared_prefix_attention_reference(*args)
    torch.testing.assert_close(shared_prefix_attention(*args), wanted, rtol=0, atol=2e-6)


def test_at_the_reference_shape_it_is_exact_to_5e_7():
    args = draw(1, 64, 16, 256, 32, 64, seed=0)
    error = shared_prefix_attention(*args) - shared_prefix_attention_reference(*args)
    assert float(error.abs().max()) <= 5e-7


def test_a_row_that_sees_nothing_of_its_own_sees_the_prefix_alone():
    q, pk, pv, k, v, visible = draw(2, 3, 4, 7, 5, 16, seed=0)
    out = shared_prefix_attention(q, pk, pv, k, v, torch.zeros_like(visible))
    copies = [x.repeat_interleave(3, 0) for x in (pk, pv)]
    wanted = torch.nn.functional.scaled_dot_product_attention(q, *copies)
    torch.testing.assert_close(out, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_parts_have_their_log_sum_exp_on_every_path(dtype: torch.dtype):
    q, k, v = (torch.randn(2, 2, 5, 16, generator=torch.Generator().manual_seed(i)).to(dtype) for i in range(3))
    out, lse = partial_attention(q, k, v)
    logits = q.double() @ k.double().mT / 4
    tolerance = 1e-6 if dtype == torch.float32 else 3e-2
    torch.testing.assert_close(lse.double(), logits.logsumexp(-1, keepdim=True), rtol=0, atol=tolerance)
    torch.testing.assert_close(out.double(), logits.softmax(-1) @ v.double(), rtol=0, atol=tolerance)
