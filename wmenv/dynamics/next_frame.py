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

from ..cache import FrameCache, FrameSlot, advance, next_slot, visible_frames, write_layer
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
    turn: Tensor  # (B, 1, 1, N, d / 2) complex of length 1, by which queries and keys are turned

    @classmethod
    @torch.no_grad()
    def begin(cls, dynamics: Dynamics, cache: FrameCache, action: Tensor) -> NextFrame:
        """The frame that `action` (B, A) in [-1, 1] leads to; `cache` will be written in place."""
        angle = dynamics.angles(cache.position)[:, None, None]
        turn = torch.complex(angle.cos(), angle.sin())
        if cache.keys.dtype == torch.float64:
            turn = turn.to(torch.complex128)
        return cls(dynamics, cache, next_slot(cache), dynamics.action(action), turn)

    @torch.no_grad()
    def estimate(self, base: Tensor, noised: Tensor, level: Tensor, lower: Tensor | None = None) -> Tensor:
        """Estimate y (B, N, C) from y_tau = `noised` at tau = `level`, (B,) or (1,), after the latent `base`.

        `lower`, (B,) or (1,), is where an any-step network is to jump, see `Dynamics.aim`.
        """
        condition = silu(self.action + self.dynamics.aim(level, lower))
        x = self.dynamics.tokens(noised, base)
        bias = self._bias(committing=False)
        for layer in range(len(self.dynamics.blocks)):
            x = self._block(layer, x, condition, bias)
        return self.dynamics.answer(x, condition)

    @torch.no_grad()
    def commit(self, base: Tensor, latent: Tensor, level: Tensor, write: Tensor | None = None) -> FrameCache:
        """The cache after `latent` (B, N, C), reached from `base` and held at `level`, (B,) or (1,).

        `write` (B,) bool marks the rows in which there is a frame; the others only count it.
        """
        condition = silu(self.action + self.dynamics.level(level, target=False))
        x = self.dynamics.tokens((latent - base) / self.dynamics.delta_scale, latent)
        bias, last = self._bias(committing=True), len(self.dynamics.blocks) - 1
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
        block = self.dynamics.blocks[layer]
        b, n, d = x.shape
        parts = 2 if keys_only else 6
        shift_scale = linear(condition, block.modulation.weight[: parts * d], block.modulation.bias[: parts * d])
        shift, scale, *rest = shift_scale.unsqueeze(1).chunk(parts, dim=-1)  # (B, 1, D) each
        qkv = linear(modulated(x, shift, scale), block.qkv.weight[d if keys_only else 0 :])
        qkv = qkv.unflatten(-1, (-1, block.heads, d // block.heads)).permute(0, 2, 3, 1, 4)  # (B, 3 or 2, H, N, d)
        qk, v = turned(qkv[:, :-1], self.turn), qkv[:, -1].contiguous()
        write_layer(self.cache, self.slot, layer, qk[:, -1], v)
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
    """Queries or keys (..., d), RMS-normed and turned by complex numbers (..., d / 2) of length 1, as in `rope.rotate`.

    A pair of channels i, i + d / 2 is one complex number, so that they come out as neighbours. Products of queries and
    keys do not mind an order that both share.
    """
    pairs = torch.empty(*x.shape[:-1], x.shape[-1] // 2, dtype=turn.dtype, device=x.device)
    torch.complex(*x.to(turn.real.dtype).chunk(2, dim=-1), out=pairs)
    out = torch.view_as_real(pairs).flatten(-2)
    out.mul_(inverse_rms(out))
    pairs.mul_(turn)
    return out


def side_by_side(x: Tensor) -> Tensor:
    """The channels of x (..., d) in the order in which `turned` leaves them."""
    return x.unflatten(-1, (2, -1)).mT.flatten(-2)
