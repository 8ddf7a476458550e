"""frame_attention against its float64 definition: outputs, all gradients, and what must not be seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kernels import cache_attention, frame_attention, frame_attention_reference

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2}
SHAPES = [(1, 1, 1, 1, 8), (2, 3, 7, 2, 8), (3, 12, 12, 3, 32), (2, 4, 65, 1, 16)]  # B, Q, K, H, d


def draw(shape: tuple[int, ...], dtype: torch.dtype, *, broadcast: bool = False) -> tuple[Tensor, ...]:
    b, queries, keys, heads, d = shape
    generator = torch.Generator().manual_seed(sum(shape))
    q, k, v = (
        torch.randn(b, n, heads, d, generator=generator, dtype=torch.float64).to(dtype) for n in (queries, keys, keys)
    )
    visible = torch.rand(b, 1 if broadcast else queries, keys, generator=generator) < 0.4
    visible[..., 0] = True  # the sink, which everyone sees
    return q, k, v, visible


@pytest.mark.parametrize("broadcast", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_reference(shape, dtype, broadcast):
    q, k, v, visible = draw(shape, dtype, broadcast=broadcast)
    out = frame_attention(q, k, v, visible)
    assert out.shape == q.shape and out.dtype == dtype
    torch.testing.assert_close(out, frame_attention_reference(q, k, v, visible), rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_equal_those_of_the_reference(shape):
    q, k, v, visible = draw(shape, torch.float32)
    weight = torch.randn(q.shape, generator=torch.Generator().manual_seed(1))
    grads = []
    for attention in (frame_attention, frame_attention_reference):
        inputs = [x.clone().requires_grad_() for x in (q, k, v)]
        (attention(*inputs, visible) * weight).sum().backward()
        grads.append([x.grad for x in inputs])
    for fast, reference in zip(*grads, strict=True):
        torch.testing.assert_close(fast, reference, rtol=0, atol=1e-5)


@pytest.mark.parametrize("attention", [frame_attention, frame_attention_reference])
def test_what_is_not_visible_has_no_influence(attention):
    q, k, v, visible = draw((2, 3, 7, 2, 8), torch.float32)
    hidden = ~visible.any(1)  # keys that no query of the row sees
    hidden[:, -1] = True
    visible = visible & ~hidden.unsqueeze(1)
    poisoned = [torch.where(hidden[..., None, None], torch.full_like(x, 1e4), x) for x in (k, v)]
    assert torch.equal(attention(q, k, v, visible), attention(q, *poisoned, visible))


@pytest.mark.parametrize("attention", [frame_attention, frame_attention_reference])
def test_one_visible_key_gives_its_value_and_equal_keys_give_the_mean(attention):
    q, k, v, _ = draw((2, 3, 4, 2, 8), torch.float32)
    only = torch.tensor([[[False, True, False, False]]]).expand(2, 3, 4)
    torch.testing.assert_close(attention(q, k, v, only), v[:, 1:2].expand_as(q))
    pair = torch.tensor([[[True, False, True, False]]]).expand(2, 3, 4)
    same = k[:, :1].expand_as(k)
    torch.testing.assert_close(attention(q, same, v, pair), ((v[:, 0] + v[:, 2]) / 2).unsqueeze(1).expand_as(q))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equals_the_reference_on_a_gpu(dtype):
    q, k, v, visible = (x.cuda() for x in draw((3, 12, 12, 3, 32), dtype))
    tolerance = {torch.float32: 1e-4, torch.bfloat16: 3e-2}[dtype]
    out = frame_attention(q, k, v, visible)
    torch.testing.assert_close(out, frame_attention_reference(q, k, v, visible), rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [*SHAPES, (3, 8, 200, 2, 16)])  # the last one is above the switch to fused attention
def test_over_a_cache_equals_the_reference(shape, dtype):
    """The cache is a view: head by head, one of several layers."""
    q, k, v, visible = draw(shape, dtype, broadcast=True)
    cache = [torch.stack((x, torch.full_like(x, torch.nan)), 2).permute(0, 3, 2, 1, 4).contiguous() for x in (k, v)]
    bias = torch.zeros(visible.shape[0], visible.shape[2], dtype=dtype).masked_fill(~visible[:, 0], -torch.inf)
    out = cache_attention(q.transpose(1, 2).contiguous(), cache[0][:, :, 0], cache[1][:, :, 0], bias)
    wanted = frame_attention_reference(q, k, v, visible).transpose(1, 2)
    assert out.dtype == dtype
    torch.testing.assert_close(out, wanted, rtol=0, atol=TOLERANCE[dtype])
