"""linear against torch's own: outputs on both sides of the switch, gradients, and that autocast still rules."""

from __future__ import annotations

import pytest
import torch

from kernels import Linear, linear, linear_reference
from kernels.linear import ONEDNN_FROM, _suits_onednn


def draw(rows: int, inputs: int = 96, outputs: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    x, weight, bias = (torch.randn(s, generator=generator) for s in ((rows, inputs), (outputs, inputs), (outputs,)))
    return x, weight, bias


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 170, 171, 400])
def test_equals_the_reference_in_float64(rows: int, biased: bool, gelu: bool):
    x, weight, bias = draw(rows)
    bias = bias if biased else None
    wanted = linear_reference(x.double(), weight.double(), None if bias is None else bias.double(), gelu=gelu)
    torch.testing.assert_close(linear(x, weight, bias, gelu=gelu), wanted.float(), rtol=0, atol=3e-5)


def test_the_sizes_above_meet_both_ways():
    sizes = [rows * 96 * 64 >= ONEDNN_FROM for rows in (1, 7, 170, 171, 400)]
    assert sizes == [False, False, False, True, True]


@pytest.mark.parametrize("view", ["steps", "transposed", "batched", "rows"])
def test_views_are_read_as_they_are(view: str):
    x, weight, _ = draw(400)
    wide = torch.randn(400, 200)
    seen = {
        "steps": wide[:, 5:197:2],
        "transposed": torch.randn(96, 400).t(),
        "batched": torch.randn(100, 8, 96)[:, 2:6],
        "rows": x[::2].repeat(2, 1)[1:],
    }[view]
    torch.testing.assert_close(
        linear(seen, weight[3:]), linear_reference(seen.double(), weight[3:].double()).float(), rtol=0, atol=3e-5
    )


def test_gradients_are_torchs_own():
    x, weight, bias = draw(400)
    for asking in range(3):
        inputs = [t.clone().requires_grad_(i == asking) for i, t in enumerate((x, weight, bias))]
        linear(*inputs, gelu=True).square().sum().backward()
        wanted = [t.clone().requires_grad_(i == asking) for i, t in enumerate((x, weight, bias))]
        linear_reference(*wanted, gelu=True).square().sum().backward()
        assert torch.equal(inputs[asking].grad, wanted[asking].grad)


def test_other_types_and_autocast_are_left_to_torch():
    x, weight, bias = draw(400)
    assert not _suits_onednn(x.double(), weight.double(), None)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight, bias).dtype == torch.bfloat16


def test_the_layer_is_torchs_layer():
    torch.manual_seed(0)
    layer = Linear(96, 64)
    twin = torch.nn.Linear(96, 64)
    twin.load_state_dict(layer.state_dict())
    x = draw(400)[0]
    with torch.no_grad():
        torch.testing.assert_close(layer(x), twin(x), rtol=0, atol=3e-5)
    assert torch.equal(layer(x), twin(x)), "with gradients it is the same call"
