"""Dreams over shared pages: forks and equal starts cost no memory, and frames are stored in as few bits as wanted.

# B rows, K rows begun, W window, S denoising steps, N tokens, C channels, A action size
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from kernels import Codec, CodecError, codec_named

from ..cache import PagedCache, PagePool, used_pages
from ..dynamics import Due, NextFrame
from ..dynamics.next_frame import side_by_side
from ..errors import InputError
from ..types import PagedState, State, StepOutput
from ..world_model import WorldModel
from .dreams import step_numbers
from .invariant import map_rows, run_in_chunks
from .prefixes import Prefixes, fit_int2
from .room import room_for

PINNED_LIMIT = 256 * 2**20  # bytes of recorded contexts that are kept by default


class KeptPages(NamedTuple):
    """A copy of rows and of the pages that they name."""

    rows: PagedState  # its table counts the pages below
    pages: tuple[Tensor, ...]  # (K, ...) the parts of K pages, layer by layer


class PagedMemory:
    """All rows share one pool. Frames are committed lazily; a page that no row names any more is free.

    A state's pages hold until the state after the next is stepped, as a ring's slots do.

    Args:
        model: what dreams.
        rows: B, for which the pool is made.
        codec: how keys and values are stored: a name that `kernels.codec_named` knows, "int2" (fitted to the recorded
            contexts), or a codec.
        pages: size of the pool; by default B * W and room for the recorded contexts, which can never run out. In a
            smaller one that does, dreams that share little raise PagesExhausted.
        starts: (K,) long, the contexts that will be begun from.
        batch_invariant: run forwards in chunks of one size, so that a row's floats do not depend on the batch.

    Raises:
        InputError: the codec is unknown or not for this device or these sizes, or there are too few pages to begin.
    """

    def __init__(
        self,
        model: WorldModel,
        rows: int,
        *,
        codec: str | Codec,
        pages: int | None,
        starts: Tensor,
        batch_invariant: bool = False,
    ) -> None:
        if not isinstance(model, WorldModel):
            raise InputError(f"cache: 'paged' needs a wmenv.WorldModel, got {type(model).__name__}; use cache='ring'")
        c, weight = model.dynamics.config, model.dynamics.head.weight
        sizes = {"layers": c.depth, "heads": c.heads, "window": c.window, "tokens": c.num_tokens}
        sizes |= {"head_dim": c.width // c.heads, "device": weight.device, "dtype": weight.dtype}
        try:
            if isinstance(codec, str):
                codec = fit_int2(model) if codec == "int2" else codec_named(codec, weight.device)
            page_bytes = PagePool(codec, pages=1, **sizes).page_bytes
            budget = min(int(model.start_valid[starts, 1:-1].sum()), PINNED_LIMIT // page_bytes)
            never = rows * c.window + budget
            wanted = never if pages is None else pages
            with room_for(rows, -(-page_bytes * wanted // rows), weight.device, left="There is no environment"):
                self.pool = PagePool(codec, pages=wanted, **sizes)
        except CodecError as error:
            raise InputError(str(error)) from error
        self.model, self.batch_invariant = model, batch_invariant
        self.can_run_out = self.pool.pages < never
        budget = min(budget, max(0, self.pool.pages - rows))
        self.prefixes = Prefixes(model, self.pool, budget, batch_invariant=batch_invariant)
        self._write_sinks()

    keeps_last = False

    @property
    def row_bytes(self) -> int:
        """See `Dreams`: pages that are shared with nobody."""
        return self.pool.page_bytes * self.pool.window + 4 * step_numbers(self.model.config)

    def start(self, index: Tensor, seed: Tensor, *, instead: tuple[State, Tensor] | None = None) -> PagedState:
        """See `Dreams`.

        Raises:
            InputError: an index is out of range.
            PagesExhausted: there is no room for the contexts; the rows that are there stay as they are.
        """
        model, beside = self.model, ()
        model.check_index(index)
        if instead is not None:
            state, gone = instead
            assert isinstance(state, PagedState)
            beside = (state.table.index_fill(0, gone, -1),)
        self._write_sinks()
        return PagedState(
            self.prefixes.rows(index, *beside),
            torch.full_like(index, model.context),
            model.start_latents[index, -model.config.history :],
            model.start_latents[index, -2],
            model.start_actions[index, -1],
        )

    def step(self, state: State, action: Tensor, noise: Tensor, seed: Tensor, *, consume: bool) -> StepOutput:
        """See `Dreams`. What is written is in pages that `state` does not name, so it is never consumed.

        Raises:
            PagesExhausted: there is no room for each row's frame; nothing was stepped.
        """
        assert isinstance(state, PagedState)
        rows = len(state.table)
        if self.can_run_out and self.pool.left(state.table) < rows:
            self.prefixes.forget()
            self.pool.check_room(rows, rows, state.table)
        page = self.pool.free(rows, state.table)
        if self.batch_invariant:
            return run_in_chunks(self._step, seed, state, action, noise, once=(page, self.pool.pages))
        return self._step(state, action, noise, page)

    def _step(self, state: PagedState, action: Tensor, noise: Tensor, page: Tensor) -> StepOutput:
        model, before = self.model, state.latents[:, -1].clone()
        action = model.unit_action(action)
        cache = PagedCache(self.pool, state.table, state.position, page)
        frame = NextFrame.begin(model.dynamics, cache, action, Due(state.base, before, state.action))
        latents, reward, termination = model.imagine(frame, state.latents, action, noise)
        after = frame.count()
        return StepOutput(PagedState(after.table, after.position, latents, before, action), reward, termination)

    def keep(self, state: State) -> KeptPages:
        """See `Dreams`. Pages that rows share are copied once."""
        assert isinstance(state, PagedState)
        pages, table = used_pages(state.table)
        return KeptPages(map_rows(torch.clone, state)._replace(table=table), self.pool.copy_pages(pages))

    def restore(self, kept: KeptPages) -> PagedState:
        """See `Dreams`.

        Raises:
            PagesExhausted: the pool is too small for the pages that were kept; nothing is lost.
        """
        count = len(kept.pages[0])
        if self.pool.left() < count:
            self.prefixes.forget()
            self.pool.check_room(count, len(kept.rows.table))
        pages = self.pool.free(count)
        self.pool.paste_pages(pages, kept.pages)
        rows = map_rows(lambda field: field.to(self.pool.device, copy=True), kept.rows)
        named = torch.cat((pages, pages.new_full((1,), -1)))[rows.table]  # -1 takes the last
        return rows._replace(table=named)

    def shapes(self, kept: State | KeptPages) -> list[tuple[Any, ...]]:
        """See `Dreams`; how many pages there are does not matter, but what a page is does."""
        if isinstance(kept, KeptPages):
            rows, parts = kept.rows, kept.pages
        else:
            rows, parts = kept, self.pool.parts
        return [tuple(field.shape) for field in rows] + [(*part.shape[1:], part.dtype) for part in parts]

    def cache_bytes(self, state: State) -> int:
        """See `Dreams`: the whole pool, whether it is used or not."""
        return self.pool.nbytes

    def _write_sinks(self) -> None:
        for layer, block in enumerate(self.model.dynamics.blocks):
            self.pool.sinks[layer, 0] = side_by_side(block.sink_key * block.timeless)
            self.pool.sinks[layer, 1] = block.sink_value
