"""One transformer block whose scales, shifts and gates are set by the frame's action and noise level (adaLN-zero).

# B rows, F frames, N tokens per frame, D width, H heads, d head width
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

from kernels import frame_attention

from .rope import axis_split, rotate


class Block(nn.Module):
    """Attention and MLP, each modulated by a per-frame condition and gated from zero.

    Source: DiT, arXiv 2212.09748, section 3.2 (adaLN-Zero); query-key norm as in arXiv 2302.05442.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads: expected a divisor of width {width}, got {heads}; choose width = heads * 16k")
        self.heads = heads
        self.modulation = nn.Linear(width, 6 * width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.sink_key = nn.Parameter(torch.randn(heads, width // heads) * 0.02)
        self.sink_value = nn.Parameter(torch.zeros(heads, width // heads))
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        timeless = torch.ones(2, width // heads // 2)  # channels turn in pairs (i, i + d / 2), the first ones with time
        timeless[:, : axis_split(width // heads)[0] // 2] = 0
        self.register_buffer("timeless", timeless.flatten(), persistent=False)
        self.timeless: Tensor

    def project(self, x: Tensor, modulation: list[Tensor], angle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys, values (B, F, N, H, d) of x (B, F, N, D); keys and queries normed and rotated."""
        shift, scale = modulation[0], modulation[1]
        h = rms_norm(x, x.shape[-1:]) * (1 + scale) + shift
        q, k, v = self.qkv(h).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        q, k = (rotate(rms_norm(y, y.shape[-1:]), angle) for y in (q, k))
        return q, k, v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> Tensor:
        """Attention of q (B, Q, H, d) over k, v (B, K, H, d) and the learned sink, which everyone always sees.

        Source: StreamingLLM, arXiv 2309.17453, section 3.3 (a learnable sink): the ring may forget any frame without
        a jump, and a dream without a past has something to look at. Its key has no place in time: it uses only the
        channels that do not turn with time, or what it says would depend on how long the dream has lasted.
        """
        rows = q.shape[0]
        k = torch.cat(((self.sink_key * self.timeless).to(k.dtype).expand(rows, 1, -1, -1), k), dim=1)
        v = torch.cat((self.sink_value.to(v.dtype).expand(rows, 1, -1, -1), v), dim=1)
        visible = torch.cat((visible.new_ones(*visible.shape[:-1], 1), visible), dim=-1)
        return frame_attention(q, k, v, visible)

    def finish(self, x: Tensor, attended: Tensor, modulation: list[Tensor]) -> Tensor:
        """Add gated attention (B, F, N, D) and the gated MLP to x."""
        _, _, gate, shift, scale, mlp_gate = modulation
        x = x + gate * self.out(attended)
        h = rms_norm(x, x.shape[-1:]) * (1 + scale) + shift
        return x + mlp_gate * self.down(nn.functional.gelu(self.up(h), approximate="tanh"))

    def modulate(self, condition: Tensor) -> list[Tensor]:
        """Six (B, F, 1, D) tensors from the condition (B, F, D)."""
        return list(self.modulation(condition).unsqueeze(-2).chunk(6, dim=-1))
