"""The frame that every dream makes next: what its passes through the network share, and the passes themselves.

It is the hot loop of every dream, so what `Block` says in the open is written here for speed: keys are read where they
lie, products take the fastest path (`kernels.linear`), sums are made in place, a rotation is one complex product. Tests
hold it to the parallel form. Without gradients.

# B envs, N tokens, C channels, D width, A action size, H heads, d head width, L layers, K columns of the cache
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad, silu

from kernels import cache_attention, linear

from ..cache import FrameCache, FrameSlot, advance, next_slot, visible_frames, write_layer, write_sink
from .dit import Dynamics


@dataclass(frozen=True, slots=True)
class NextFrame:
    """Made by `begin`; then any number of `estimate`, and one `commit`.

    All of them write into the cache's free slot, in place. The frames committed before stay as they are, so that the
    cache that was given remains valid until a frame is begun on the cache that `commit` returns.
    """

    dynamics: Dynamics
    cache: FrameCache
    slot: FrameSlot
    action: Tensor  # (B, D) embedded
    turn: Tensor  # (B, 1, 1, N, d / 2) complex of length 1, by which keys and queries are turned
    qkv: list[Tensor]  # L of (3 D, D), channels of keys and queries side by side

    @classmethod
    @torch.no_grad()
    def begin(cls, dynamics: Dynamics, cache: FrameCache, action: Tensor) -> NextFrame:
        """The frame that `action` (B, A) in [-1, 1] leads to; `cache` will be written in place."""
        angle = dynamics.angles(cache.position)[:, None, None]
        qkv = []
        for layer, block in enumerate(dynamics.blocks):
            q_and_k, v = block.qkv.weight.tensor_split((2 * dynamics.config.width,))
            q_and_k = side_by_side(q_and_k.unflatten(0, (2 * block.heads, -1))).flatten(0, 1)
            qkv.append(torch.cat((q_and_k, v)))
            sink = (block.sink_key * block.timeless).unsqueeze(-1)
            write_sink(cache, layer, side_by_side(sink).squeeze(-1), block.sink_value)
        turn = torch.complex(angle.cos(), angle.sin())
        return cls(dynamics, cache, next_slot(cache), dynamics.action(action), turn, qkv)

    @torch.no_grad()
    def estimate(self, base: Tensor, noised: Tensor, level: Tensor) -> Tensor:
        """Estimate y (B, N, C) from y_tau = `noised` at tau = `level`, (B,) or (1,), after the latent `base`."""
        condition = silu(self.action + self.dynamics.level(level, target=True))
        x = self.dynamics.tokens(noised, base)
        bias = self._bias(committing=False)
        for layer in range(len(self.qkv)):
            x = self._block(layer, x, condition, bias)
        return self.dynamics.answer(x, condition)

    @torch.no_grad()
    def commit(self, base: Tensor, latent: Tensor, level: Tensor, write: Tensor | None = None) -> FrameCache:
        """The cache after `latent` (B, N, C), reached from `base` and held at `level`, (B,) or (1,).

        `write` (B,) bool marks the rows in which there is a frame; the others only count it.
        """
        condition = silu(self.action + self.dynamics.level(level, target=False))
        x = self.dynamics.tokens((latent - base) / self.dynamics.delta_scale, latent)
        bias, last = self._bias(committing=True), len(self.qkv) - 1
        for layer in range(last):
            x = self._block(layer, x, condition, bias)
        self._block(last, x, condition, bias, keys_only=True)
        return advance(self.cache, self.slot, write)

    def _bias(self, *, committing: bool) -> Tensor:
        """(B, K): 0 where the frame may look, -inf elsewhere; everyone sees the sink in the last column."""
        frames = visible_frames(self.cache, self.slot, committing=committing)
        visible = pad(frames.repeat_interleave(self.dynamics.config.num_tokens, 1), (0, 1), value=True)
        bias = torch.zeros(visible.shape, dtype=self.cache.keys.dtype, device=visible.device)
        return bias.masked_fill_(~visible, float("-inf"))

    def _block(self, layer: int, x: Tensor, condition: Tensor, bias: Tensor, *, keys_only: bool = False) -> Tensor:
        """One block over x (B, N, D), in place. With `keys_only` it ends once keys and values are in the cache."""
        block, weight = self.dynamics.blocks[layer], self.qkv[layer]
        b, n, d = x.shape
        parts = 2 if keys_only else 6
        shift_scale = linear(condition, block.modulation.weight[: parts * d], block.modulation.bias[: parts * d])
        shift, scale, *rest = shift_scale.unsqueeze(1).chunk(parts, dim=-1)  # (B, 1, D) each
        qkv = linear(modulated(x, shift, scale), weight[d if keys_only else 0 :])
        qkv = qkv.unflatten(-1, (-1, block.heads, d // block.heads)).permute(0, 2, 3, 1, 4).contiguous()
        qk = turned(qkv[:, :-1] * inverse_rms(qkv[:, :-1]), self.turn)  # (B, 2, H, N, d), or (B, 1, H, N, d)
        write_layer(self.cache, self.slot, layer, qk[:, -1], qkv[:, -1])
        if keys_only:
            return x
        keys, values = self.cache.keys[:, :, layer], self.cache.values[:, :, layer]
        attended = cache_attention(qk[:, 0].to(keys.dtype), keys, values, bias).transpose(1, 2).reshape(b, n, d)
        gate, shift, scale, mlp_gate = rest
        x.addcmul_(gate, linear(attended, block.out.weight))
        h = linear(modulated(x, shift, scale), block.up.weight, block.up.bias, gelu=True)
        return x.addcmul_(mlp_gate, linear(h, block.down.weight, block.down.bias))


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """RMS-normed x (..., D), scaled and shifted."""
    return torch.addcmul(shift, x * inverse_rms(x), scale + 1)


def inverse_rms(x: Tensor) -> Tensor:
    """1 / root mean square over the last axis, as in `torch.nn.functional.rms_norm`."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length.square_().mul_(1 / x.shape[-1]).add_(torch.finfo(x.dtype).eps).rsqrt_()


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """Keys or queries (..., d), whose pairs lie side by side, turned by (..., d / 2) complex numbers of length 1."""
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turn).flatten(-2)


def side_by_side(x: Tensor) -> Tensor:
    """Channels (..., d, any) in the order 0, d / 2, 1, d / 2 + 1, ..: those that turn together as neighbours.

    Products of queries and keys do not mind an order that both share, and a pair of neighbours is a complex number.
    """
    return x.unflatten(-2, (2, -1)).transpose(-3, -2).flatten(-3, -2)
