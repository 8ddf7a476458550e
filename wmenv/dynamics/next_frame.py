"""The frame that every dream makes next: what its passes through the network share, and the passes themselves.

It is the hot loop of every dream, so what `Block` says in the open is written here for speed: keys are read where they
lie, products take the fastest path (`kernels.linear`), sums are made in place, a rotation is one complex product. Tests
hold it to the parallel form. Without gradients.

# B envs, R = B or 2 B frames of a pass, N tokens, C channels, D width, A action size, H heads, d head width
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import silu

from kernels import inverse_rms, linear, turned

from ..cache import FrameMemory, Role
from .dit import Dynamics

Memory = TypeVar("Memory", bound=FrameMemory)


class Due(NamedTuple):
    """The newest frame that a cache counts, while its keys and values are still to be computed."""

    base: Tensor  # (B, N, C) the latent before it
    latent: Tensor  # (B, N, C)
    action: Tensor  # (B, A) in [-1, 1], that led to it


@dataclass(slots=True)
class NextFrame(Generic[Memory]):
    """Made by `begin`; then any number of `estimate`, and one `commit` or `count`.

    `commit` is eager: one more pass computes the frame's keys and values. `count` is lazy: they are due, and the next
    frame's first estimate computes them on its way, in one pass over both frames. That saves a pass for each frame.

    All of them write into the cache's free places, in place. The frames counted before stay as they are, so that the
    cache that was given remains valid until a frame is begun on the cache that `commit` or `count` returns.
    """

    dynamics: Dynamics
    cache: Memory
    action: Tensor  # (R, D) embedded; R = B, or 2 B as long as the frame before is due, which then comes first
    turn: Tensor  # (R, 1, 1, N, d / 2) complex of length 1, by which queries and keys are turned
    due: Due | None  # the frame before, until its keys and values are computed

    @classmethod
    @torch.no_grad()
    def begin(cls, dynamics: Dynamics, cache: Memory, action: Tensor, due: Due | None = None) -> NextFrame[Memory]:
        """The frame that `action` (B, A) in [-1, 1] leads to; `cache` will be written in place.

        Args:
            dynamics: the network.
            cache: of all frames before it.
            action: (B, A).
            due: the newest of them, if the last frame ended in `count`.
        """
        time = cache.position
        if due is not None:
            action, time = torch.cat((due.action, action)), torch.cat((time - 1, time))
        turn = turning(dynamics, time, cache.dtype)
        return cls(dynamics, cache.opened(due=due is not None), dynamics.action(action), turn, due)

    @torch.no_grad()
    def estimate(self, base: Tensor, noised: Tensor, level: Tensor, lower: Tensor | None = None) -> Tensor:
        """Estimate y (B, N, C) from y_tau = `noised` at tau = `level`, (B,) or (1,), after the latent `base`.

        `lower`, (B,) or (1,), is where an any-step network is to jump, see `Dynamics.aim`.
        """
        aim = self.dynamics.aim(level, lower)
        if self.due is not None:
            return self._estimate_after(self.due, base, noised, aim)
        x, condition = self.dynamics.tokens(noised, base), silu(self.action + aim)
        view = self.cache.view(Role.TARGET)
        for layer in range(len(self.dynamics.blocks)):
            x = pass_block(self.dynamics, self.cache, view, layer, x, condition, self.turn)
        return self.dynamics.answer(x, condition)

    @torch.no_grad()
    def commit(self, base: Tensor, latent: Tensor, level: Tensor, write: Tensor | None = None) -> Memory:
        """The cache after `latent` (B, N, C), reached from `base` and held at `level`, (B,) or (1,).

        `write` (B,) bool marks the rows in which there is a frame; the others only count it.
        """
        self._settle()
        cache = self.cache.opened(due=True).counted(write)  # opened first: what is given up is still kept
        self._compute_keys(cache, base, latent, level, self.action, self.turn)
        return cache.settled(write)

    @torch.no_grad()
    def count(self) -> Memory:
        """The cache after the frame that was estimated, whose keys and values are due; say so to the next `begin`."""
        self._settle()
        return self.cache.counted()

    # ---- what is due

    def _estimate_after(self, due: Due, base: Tensor, noised: Tensor, level: Tensor) -> Tensor:
        """An estimate by a pass in which the frame before rides along until the last block has its keys and values."""
        cache, dynamics, rows = self.cache, self.dynamics, len(base)
        change = (due.latent - due.base) / dynamics.delta_scale
        x = dynamics.tokens(torch.cat((change, noised)), torch.cat((due.latent, base)))
        clean = dynamics.level(noised.new_zeros(1), target=False)
        condition = silu(self.action + torch.cat([one.expand(rows, -1) for one in (clean, level)]))
        context, target, last = cache.view(Role.CONTEXT), cache.view(Role.TARGET), len(dynamics.blocks) - 1
        both = cache.join(context, target)
        for layer in range(last):
            x = pass_block(dynamics, cache, both, layer, x, condition, self.turn)
        pass_block(dynamics, cache, context, last, x[:rows], condition[:rows], self.turn[:rows], keys_only=True)
        self._has_settled()
        x, condition = x[rows:], condition[rows:]
        return dynamics.answer(pass_block(dynamics, cache, target, last, x, condition, self.turn), condition)

    def _settle(self) -> None:
        """Compute what is due by a pass of its own, where no estimate has done so."""
        if self.due is not None:
            (base, latent, _), rows = self.due, len(self.due.base)
            level = latent.new_zeros(1)
            self._compute_keys(self.cache, base, latent, level, self.action[:rows], self.turn[:rows])
            self._has_settled()

    def _has_settled(self) -> None:
        rows = len(self.action) // 2
        self.cache, self.due = self.cache.settled(), None
        self.action, self.turn = self.action[rows:], self.turn[rows:]

    def _compute_keys(
        self, cache: Memory, base: Tensor, latent: Tensor, level: Tensor, action: Tensor, turn: Tensor
    ) -> None:
        """Put the keys and values of the newest frame that `cache` counts."""
        condition = silu(action + self.dynamics.level(level, target=False))
        x = self.dynamics.tokens((latent - base) / self.dynamics.delta_scale, latent)
        view, last = cache.view(Role.CONTEXT), len(self.dynamics.blocks) - 1
        for layer in range(last):
            x = pass_block(self.dynamics, cache, view, layer, x, condition, turn)
        pass_block(self.dynamics, cache, view, last, x, condition, turn, keys_only=True)


def pass_block(
    dynamics: Dynamics, cache: FrameMemory, view: object, layer: int, x: Tensor, condition: Tensor, turn: Tensor, *,
    keys_only: bool = False,
) -> Tensor:  # fmt: skip
    """One block over x (R, N, D), in place, for frames of condition (R, D) that look at a cache by way of `view`.

    With `keys_only` it ends once the cache has keys and values: of contexts the last block need give nothing more.
    """
    block = dynamics.blocks[layer]
    r, n, d = x.shape
    parts = 2 if keys_only else 6
    shift_scale = linear(condition, block.modulation.weight[: parts * d], block.modulation.bias[: parts * d])
    shift, scale, *rest = shift_scale.unsqueeze(1).chunk(parts, dim=-1)  # (R, 1, D) each
    qkv = linear(modulated(x, shift, scale), block.qkv.weight[d if keys_only else 0 :])
    qkv = qkv.unflatten(-1, (-1, block.heads, d // block.heads)).permute(0, 2, 3, 1, 4)  # (R, 3 or 2, H, N, d)
    qk, v = turned(qkv[:, :-1], turn), qkv[:, -1].contiguous()
    k = qk[:, -1]
    cache.put(view, layer, k, v)
    if keys_only:
        return x
    attended = cache.attend(view, layer, qk[:, 0], k, v).transpose(1, 2).reshape(r, n, d)
    gate, shift, scale, mlp_gate = rest
    x.addcmul_(gate, linear(attended, block.out.weight))
    h = linear(modulated(x, shift, scale), block.up.weight, block.up.bias, gelu=True)
    return x.addcmul_(mlp_gate, linear(h, block.down.weight, block.down.bias))


def turning(dynamics: Dynamics, time: Tensor, dtype: torch.dtype) -> Tensor:
    """By what queries and keys of frames at `time` (R,) are turned: (R, 1, 1, N, d / 2), for a cache's dtype."""
    angle = dynamics.angles(time)[:, None, None]
    turn = torch.complex(angle.cos(), angle.sin())
    return turn.to(torch.complex128) if dtype == torch.float64 else turn


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """RMS-normed x (..., D), scaled and shifted."""
    return torch.addcmul(shift, x * inverse_rms(x), scale + 1)


def side_by_side(x: Tensor) -> Tensor:
    """The channels of x (..., d) in the order in which `turned` leaves them."""
    return x.unflatten(-1, (2, -1)).mT.flatten(-2)
