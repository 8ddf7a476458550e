"""A dreamed step without a cache, made as fast as the cached one: what R1 compares that with.

Every pass runs over the window's W context frames and the frame to come; it uses the same fast parts as the cached
step, of the last block only what the answer needs, and on a CPU no mask where frames have tokens enough for a loop.

# B rows, F = W + 1 frames, N tokens, D width, T = F * N, H heads
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, silu

from kernels import linear, turned
from wmenv import dynamics as network

modulated, side_by_side = network.next_frame.modulated, network.next_frame.side_by_side


LOOPED = 8
"""Tokens of a frame from which on a CPU a loop over frames, each without a mask, beats one masked attention."""


@dataclass(frozen=True, slots=True)
class WindowFrame:
    """The frame that follows a window of contexts; `wmenv.sampling.denoise` denoises it like one over a cache."""

    dynamics: network.Dynamics
    x: Tensor  # (B, W, N, D) embedded contexts
    context: Tensor  # (B, W, D) their conditions
    action: Tensor  # (B, D) embedded action that leads to the frame
    turn: Tensor  # (T, d / 2) complex
    bias: Tensor  # (T, 1 + T): 0 where a token may look, -inf elsewhere; the sink comes first

    @classmethod
    @torch.no_grad()
    def begin(cls, dynamics: network.Dynamics, contexts: Tensor, actions: Tensor) -> WindowFrame:
        """After `contexts` (B, W, N, C), by `actions` (B, W + 1, A); the last of them leads to the frame."""
        b, w, n, _ = contexts.shape
        base = torch.cat((contexts[:, :1], contexts[:, :-1]), dim=1)
        x = dynamics.tokens((contexts - base) / dynamics.delta_scale, contexts)
        clean = torch.zeros(1, 1, device=contexts.device)
        condition = dynamics.condition(actions[:, :-1], clean, target=False)
        time = torch.arange(w + 1, device=contexts.device)
        angle = dynamics.angles(time).flatten(0, 1)
        seen = (time.unsqueeze(1) >= time).repeat_interleave(n, 0).repeat_interleave(n, 1)
        seen = torch.cat((seen.new_ones(len(seen), 1), seen), dim=1)
        bias = torch.zeros(seen.shape, device=x.device).masked_fill_(~seen, float("-inf"))
        turn = torch.complex(angle.cos(), angle.sin())
        return cls(dynamics, x, condition, dynamics.action(actions[:, -1]), turn, bias)

    @torch.no_grad()
    def estimate(self, base: Tensor, noised: Tensor, level: Tensor, lower: Tensor | None = None) -> Tensor:
        """As `NextFrame.estimate`, by one pass over the whole window."""
        now = silu(self.action + self.dynamics.aim(level, lower))
        condition = torch.cat((self.context, now.unsqueeze(1)), dim=1)
        x = torch.cat((self.x, self.dynamics.tokens(noised, base).unsqueeze(1)), dim=1)
        for layer in range(len(self.dynamics.blocks) - 1):
            x = self._block(layer, x, condition)
        return self.dynamics.answer(self._last_block(x, condition)[:, 0], now)

    def _block(self, layer: int, x: Tensor, condition: Tensor) -> Tensor:
        """One block over x (B, F, N, D)."""
        block, (b, f, n, _) = self.dynamics.blocks[layer], x.shape
        parts = linear(condition, block.modulation.weight, block.modulation.bias).unsqueeze(2).chunk(6, dim=-1)
        qkv = linear(modulated(x, *parts[:2]), block.qkv.weight).view(b, f * n, 3, block.heads, -1)
        qkv = qkv.permute(0, 2, 3, 1, 4)  # (B, 3, H, T, d)
        qk = turned(qkv[:, :2], self.turn)
        return self._finish(layer, x, self._attend(layer, qk[:, 0], qk[:, 1], qkv[:, 2], self.bias), parts[2:])

    def _last_block(self, x: Tensor, condition: Tensor) -> Tensor:
        """The last block: keys and values of all frames, everything else of the frame to come (B, 1, N, D) alone."""
        layer, (b, f, n, d) = len(self.dynamics.blocks) - 1, x.shape
        block = self.dynamics.blocks[layer]
        weight, bias = block.modulation.weight, block.modulation.bias
        shift, scale = linear(condition, weight[: 2 * d], bias[: 2 * d]).unsqueeze(2).chunk(2, dim=-1)
        h = modulated(x, shift, scale)
        kv = linear(h, block.qkv.weight[d:]).view(b, f * n, 2, block.heads, -1).permute(0, 2, 3, 1, 4)
        q = linear(h[:, -1], block.qkv.weight[:d]).view(b, n, block.heads, -1).transpose(1, 2)
        k = turned(kv[:, :1], self.turn)[:, 0]
        q = turned(q, self.turn[-n:])
        rest = linear(condition[:, -1:], weight[2 * d :], bias[2 * d :]).unsqueeze(2).chunk(4, dim=-1)
        return self._finish(layer, x[:, -1:], self._attend(layer, q, k, kv[:, 1], None), rest)

    def _attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        """Attention of q (B, H, Q, d) over the sink and k, v (B, H, T, d)."""
        block = self.dynamics.blocks[layer]
        sink = side_by_side(block.sink_key * block.timeless), block.sink_value
        k, v = (
            torch.cat((s[None, :, None].expand(len(k), -1, 1, -1), y), dim=2) for s, y in zip(sink, (k, v), strict=True)
        )
        tokens = self.x.shape[2]
        if bias is None or not q.is_cpu or tokens < LOOPED:
            return scaled_dot_product_attention(q, k, v, attn_mask=bias)
        ends = range(tokens, q.shape[2] + 1, tokens)
        each = [scaled_dot_product_attention(q[:, :, e - tokens : e], k[:, :, : 1 + e], v[:, :, : 1 + e]) for e in ends]
        return torch.cat(each, dim=2)

    def _finish(self, layer: int, x: Tensor, attended: Tensor, parts: tuple[Tensor, ...]) -> Tensor:
        """The tokens x (B, F, N, D) after gated attention (B, H, F * N, d) and the gated MLP."""
        block, (gate, shift, scale, mlp_gate) = self.dynamics.blocks[layer], parts
        attended = attended.transpose(1, 2).reshape(x.shape)
        x = torch.addcmul(x, gate, linear(attended, block.out.weight))
        h = linear(modulated(x, shift, scale), block.up.weight, block.up.bias, gelu=True)
        return x.addcmul_(mlp_gate, linear(h, block.down.weight, block.down.bias))
