"""The records that pass between the world model and whoever steps it, and how rows of them are moved.

# B envs, L layers, W window, K columns of the cache, d head width, N tokens, H history, C token channels, A action size
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from torch import Tensor

LATENT_BOUND = 10.0
"""Latents have unit scale; observations are clipped to this many units so that Box bounds are finite."""

LIKELY_END = 0.5
"""A step ends its dream if the model finds its termination more probable than this."""


class DreamState(NamedTuple):
    """Everything that the next dreamed step needs. The caller owns it; a step changes it in place only if told to."""

    keys: Tensor  # (B, heads, L, K, d) rotated keys of the cached frames, see `wmenv.cache.FrameCache`
    values: Tensor  # (B, heads, L, K, d)
    cached: Tensor  # (B, W + 1) bool; False where a slot holds no frame
    position: Tensor  # (B,) long, number of frames committed so far; the next slot is position % (W + 1)
    latents: Tensor  # (B, H, N, C) the last H latents, oldest first


class LazyState(NamedTuple):
    """A `DreamState` that counts its last latent although that frame's keys and values are due: the next step's work.

    So one forward for each frame is saved. Rows begin, end, fork and are stored like those of any state, since what is
    due follows from the row itself.
    """

    keys: Tensor  # (B, heads, L, K, d)
    values: Tensor  # (B, heads, L, K, d)
    cached: Tensor  # (B, W + 1) bool
    position: Tensor  # (B,) long, number of frames counted so far, the one that is due among them
    latents: Tensor  # (B, H, N, C)
    base: Tensor  # (B, N, C) the latent before the last
    action: Tensor  # (B, A) in [-1, 1], the action that led to the last


class PagedState(NamedTuple):
    """A `LazyState` whose frames lie in pages that rows share; see `wmenv.cache.PagedCache`."""

    table: Tensor  # (B, W) long, the page of each frame
    position: Tensor  # (B,) long
    latents: Tensor  # (B, H, N, C)
    base: Tensor  # (B, N, C)
    action: Tensor  # (B, A)


State = DreamState | LazyState | PagedState


class StepOutput(NamedTuple):
    """What one dreamed step returns."""

    state: State
    reward: Tensor  # (B,) in the task's own unit
    termination: Tensor  # (B,) probability in [0, 1]


class EncoderState(NamedTuple):
    """A streaming encoder over real observations: the convolution's memory and the last H latents."""

    memory: Tensor  # (B, M) flattened past activations; M = 0 for a state tokenizer
    latents: Tensor  # (B, H, N, C)


Rows = TypeVar("Rows", bound=tuple)


def gather_rows(index: Tensor, state: Rows) -> Rows:
    """The rows `index` (K,) of `state`, as a new state of K rows."""
    return type(state)(*(field[index] for field in state))


def scatter_rows(state: Rows, index: Tensor, rows: Rows) -> Rows:
    """A copy of `state` whose rows `index` (K,) are those of `rows` (K rows)."""

    def put(field: Tensor, row: Tensor) -> Tensor:
        out = field.clone()
        out[index] = row
        return out

    return type(state)(*map(put, state, rows))
