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

from kernels import linear

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
    action: Tensor  # (B, D) embedded
    turn: Tensor  # (B, 1, 1, N, d / 2) complex of length 1, by which queries and keys are turned
    due: Due | None  # of the frame before, until it is computed

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
        cache = cache.opened(due=due is not None)
        return cls(dynamics, cache, dynamics.action(action), turn_at(dynamics, cache, cache.position), due)

    @torch.no_grad()
    def estimate(self, base: Tensor, noised: Tensor, level: Tensor) -> Tensor:
        """Estimate y (B, N, C) from y_tau = `noised` at tau = `level`, (B,) or (1,), after the latent `base`."""
        x = self.dynamics.tokens(noised, base)
        condition = silu(self.action + self.dynamics.level(level, target=True))
        if self.due is None:
            x = self._passed(x, condition)
        else:
            x = self._passed_with(self.due, x, condition)
        return self.dynamics.answer(x, condition)

    @torch.no_grad()
    def commit(self, base: Tensor, latent: Tensor, level: Tensor, write: Tensor | None = None) -> Memory:
        """The cache after `latent` (B, N, C), reached from `base` and held at `level`, (B,) or (1,).

        `write` (B,) bool marks the rows in which there is a frame; the others only count it.
        """
        self._settle()
        cache = self.cache.counted(write).opened(due=True)
        self._compute_keys(cache, base, latent, self.action, level, self.turn)
        return cache.settled(write)

    @torch.no_grad()
    def count(self) -> Memory:
        """The cache after the frame that was estimated, whose keys and values are due; say so to the next `begin`."""
        self._settle()
        return self.cache.counted()

    # ---- passes

    def _passed(self, x: Tensor, condition: Tensor) -> Tensor:
        """All blocks over the frame itself, x (B, N, D), in place."""
        view = self.cache.view(Role.TARGET)
        for layer in range(len(self.dynamics.blocks)):
            x = self._block(self.cache, view, layer, x, condition, self.turn)
        return x

    def _passed_with(self, due: Due, x: Tensor, condition: Tensor) -> Tensor:
        """The same, and with it the keys and values of the frame before, whose tokens ride along to the last block."""
        first, first_condition = self._context(due.base, due.latent, self.dynamics.action(due.action), _clean(x))
        first_turn = turn_at(self.dynamics, self.cache, self.cache.position - 1)
        both, last = self.cache.view(Role.CONTEXT, Role.TARGET), len(self.dynamics.blocks) - 1
        joined, conditions = torch.cat((first, x)), torch.cat((first_condition, condition))
        turns = torch.cat((first_turn, self.turn))
        for layer in range(last):
            joined = self._block(self.cache, both, layer, joined, conditions, turns)
        first, x = joined.chunk(2)
        self._block(self.cache, self.cache.view(Role.CONTEXT), last, first, first_condition, first_turn, keys_only=True)
        self.cache, self.due = self.cache.settled(), None
        return self._block(self.cache, self.cache.view(Role.TARGET), last, x, condition, self.turn)

    def _settle(self) -> None:
        """Compute what is due by a pass of its own, where no estimate has done so."""
        if self.due is not None:
            due, turn = self.due, turn_at(self.dynamics, self.cache, self.cache.position - 1)
            action = self.dynamics.action(due.action)
            self._compute_keys(self.cache, due.base, due.latent, action, _clean(due.latent), turn)
            self.cache, self.due = self.cache.settled(), None

    def _compute_keys(
        self, cache: Memory, base: Tensor, latent: Tensor, action: Tensor, level: Tensor, turn: Tensor
    ) -> None:
        """Put the keys and values of the newest frame that `cache` counts."""
        x, condition = self._context(base, latent, action, level)
        view, last = cache.view(Role.CONTEXT), len(self.dynamics.blocks) - 1
        for layer in range(last):
            x = self._block(cache, view, layer, x, condition, turn)
        self._block(cache, view, last, x, condition, turn, keys_only=True)

    def _context(self, base: Tensor, latent: Tensor, action: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, N, D) and condition (B, D) of a frame as later ones see it."""
        x = self.dynamics.tokens((latent - base) / self.dynamics.delta_scale, latent)
        return x, silu(action + self.dynamics.level(level, target=False))

    def _block(
        self, cache: Memory, view: object, layer: int, x: Tensor, condition: Tensor, turn: Tensor, *,
        keys_only: bool = False,
    ) -> Tensor:  # fmt: skip
        """One block over x (R, N, D), in place. With `keys_only` it ends once the cache has keys and values."""
        block = self.dynamics.blocks[layer]
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


def turn_at(dynamics: Dynamics, cache: FrameMemory, time: Tensor) -> Tensor:
    """The turn (B, 1, 1, N, d / 2) of frames at `time` (B,)."""
    angle = dynamics.angles(time)[:, None, None]
    turn = torch.complex(angle.cos(), angle.sin())
    return turn.to(torch.complex128) if cache.dtype == torch.float64 else turn


def _clean(like: Tensor) -> Tensor:
    """The level (1,) at which finished frames are held."""
    return like.new_zeros(1)


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
