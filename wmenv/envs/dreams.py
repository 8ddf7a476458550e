"""How the rows of an environment are kept and stepped: each with memory of its own, or over pages that they share.

# B rows, K rows begun, S denoising steps, N tokens, C channels, A action size
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..types import State, StepOutput
from .invariant import map_rows, run_in_chunks
from .model import DreamModel


class Dreams(Protocol):
    """What steps a core's rows. States are tuples of tensors (B, ...), so that rows are moved without asking it."""

    def start(self, index: Tensor, seed: Tensor, *, instead: tuple[State, Tensor] | None = None) -> State:
        """Dreams that begin at the recorded contexts `index` (K,), with `seed` (K,).

        `instead` is the state and which of its rows (K,) they replace; the others go on. By default all are replaced.
        """
        ...

    def step(self, state: State, action: Tensor, noise: Tensor, seed: Tensor, *, consume: bool) -> StepOutput:
        """One step of every row: action (B, A), noise (B, S, N, C), seed (B,)."""
        ...

    def keep(self, state: State) -> Any:
        """A copy of `state`, a tuple of tensors that shares nothing and stands by itself."""
        ...

    def restore(self, kept: Any) -> State:
        """The state that `keep` copied, here or elsewhere; it takes the place of all rows."""
        ...

    def shapes(self, kept: Any) -> list[tuple[Any, ...]]:
        """What must be alike for a state, or what was kept of one, to fit another's place."""
        ...

    def cache_bytes(self, state: State) -> int:
        """Bytes that the memory of all rows takes."""
        ...

    @property
    def row_bytes(self) -> int | None:
        """Bytes that one more row needs, a step's temporaries included, as far as its model's sizes tell."""
        ...

    @property
    def keeps_last(self) -> bool:
        """Whether a state that was stepped or replaced stays whole for as long as nothing is written into rows of it.

        Then whoever fails half-way can go back to it. Pages that it named may have been given to others.
        """
        ...


TEMPORARIES = 24
"""Numbers as wide as the network that a step holds for each token at its widest, both frames of a lazy pass."""


def step_numbers(config: Any) -> int:
    """How many numbers a row's latents and the temporaries of a step are, of a model with these sizes."""
    return config.num_tokens * (config.history * config.token_dim + TEMPORARIES * config.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMemory:
    """Each row has a memory of its own: the fast form on a CPU, and the one that every `DreamModel` can take.

    Args:
        model: what dreams.
        lazy: leave a frame's keys and values to the next step, if the model can: a forward less for each frame.
        batch_invariant: run forwards in chunks of one size, so that a row's floats do not depend on the batch.
    """

    model: DreamModel
    lazy: bool = True
    batch_invariant: bool = False

    keeps_last = True

    @property
    def row_bytes(self) -> int | None:
        """See `Dreams`: a ring, the latents of its history and the tokens of a step; None for a user's own model."""
        c = self.model.config
        sizes = [getattr(c, name, None) for name in ("depth", "window", "width")]
        if None in sizes:
            return None
        depth, window, width = sizes
        return 4 * (2 * depth * width * ((window + 1) * c.num_tokens + 1) + step_numbers(c))

    def start(self, index: Tensor, seed: Tensor, *, instead: tuple[State, Tensor] | None = None) -> State:
        """See `Dreams`."""
        start = self.model.start
        if self.lazy and getattr(self.model, "commits_lazily", False):
            start = self.model.start_lazily  # type: ignore[attr-defined]
        return run_in_chunks(start, seed, index) if self.batch_invariant else start(index)

    def step(self, state: State, action: Tensor, noise: Tensor, seed: Tensor, *, consume: bool) -> StepOutput:
        """See `Dreams`."""
        step: Any = self.model.step
        if self.batch_invariant:
            return run_in_chunks(step, seed, state, action, noise)
        if consume and getattr(self.model, "steps_in_place", False):
            return step(state, action, noise, consume=True)
        return step(state, action, noise)

    def keep(self, state: State) -> State:
        """See `Dreams`."""
        return map_rows(torch.clone, state)

    def restore(self, kept: State) -> State:
        """See `Dreams`."""
        device = self.model.start_is_initial.device
        return map_rows(lambda field: field.to(device, copy=True), kept)

    def shapes(self, kept: State) -> list[tuple[Any, ...]]:
        """See `Dreams`."""
        return [tuple(field.shape) for field in kept if isinstance(field, Tensor)]

    def cache_bytes(self, state: State) -> int:
        """See `Dreams`."""
        return sum(getattr(state, name).nbytes for name in ("keys", "values"))
