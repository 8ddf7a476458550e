"""The causal convolution against torch's own 3D convolution, and one frame at a time against all at once."""

from __future__ import annotations

import pytest
import torch

from wmenv.tokenizers.causal_conv import CausalConv3d


def conv(past: int, kernel: int = 3) -> CausalConv3d:
    torch.random.default_generator.manual_seed(past)
    return CausalConv3d(3, 5, kernel=kernel, past=past).double().requires_grad_(False)


@pytest.mark.parametrize("past", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3])
def test_equals_torch_conv3d_with_the_same_weights(past: int, kernel: int):
    ours = conv(past, kernel)
    theirs = torch.nn.Conv3d(3, 5, (past, kernel, kernel), padding=(0, kernel // 2, kernel // 2)).double()
    theirs.weight.data.copy_(ours.conv.weight.unflatten(1, (past, 3)).transpose(1, 2))  # (5, 3, K, H, W)
    theirs.bias.data.copy_(ours.conv.bias)
    x = torch.randn(2, 6, 3, 8, 8, dtype=torch.float64)
    padded = torch.cat((x[:, :1].expand(-1, past - 1, -1, -1, -1), x), 1).transpose(1, 2)
    torch.testing.assert_close(ours(x), theirs(padded).transpose(1, 2))


@pytest.mark.parametrize("past", [1, 2, 3, 4])
def test_streaming_equals_offline(past: int):
    layer, x = conv(past), torch.randn(2, 7, 3, 8, 8, dtype=torch.float64)
    memory, out = layer.start(x[:, 0])
    assert memory.shape == (2, 3 * (past - 1), 8, 8)
    outputs = [out]
    for t in range(1, 7):
        before = memory.clone()
        new, out = layer.step(memory, x[:, t])
        assert torch.equal(memory, before), "a step leaves the old memory as it was"
        memory = new
        outputs.append(out)
    torch.testing.assert_close(torch.stack(outputs, 1), layer(x))


@pytest.mark.parametrize("frame", [0, 2, 5])
def test_only_the_present_and_the_past_count(frame: int):
    layer, x = conv(3), torch.randn(1, 6, 3, 4, 4, dtype=torch.float64)
    other = x.clone()
    other[:, frame] += 1
    changed = (layer(other) - layer(x)).abs().amax((0, 2, 3, 4)) > 1e-12
    assert changed.nonzero()[:, 0].tolist() == list(range(frame, min(frame + 3, 6)))
