"""Frames' keys and values in pages that dreams share: a row names its frames by number, and nothing is copied.

A page holds one frame: its keys and values in every layer, stored by a codec. Rows that were forked, or that began from
the same recorded context, name the same pages. A frame is written once, into a page that nobody names, and never again:
the ring overwrites columns of the table, not data. How often a page is named is counted anew from the tables whenever a
page is wanted, and not kept up on the way, so that no order of commits, resets, forks and interrupts can leak one; that
is one `scatter_add` over B * W numbers. The sink is the block's own parameter, of which the pool keeps a copy in place.

Shapes are static and nothing is read back, but for `left` and `check_room`, which only pools that can run out need.

# B rows, W window, L layers, H heads, N tokens, d head width, R = B or 2 B frames of a pass, G pages
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from kernels import Codec, PagedFrame, cache_write, paged_attention

from ..errors import InputError, WmenvError
from .memory import Role

NONE = -1
"""Where a table names no page."""


class PagesExhausted(WmenvError):
    """A pool has no page left for a frame. Nothing was written; the message says how many pages would do."""


class PagePool:
    """The pages that all rows share. One more than `pages` is kept, into which goes what nobody wants.

    Args:
        codec: how keys and values are stored; see `kernels.codec_named`.
        layers, heads, window, tokens, head_dim: sizes of the dynamics.
        pages: G. `rows * window + pinned` can never run out, nor `rows` more where frames are committed eagerly, which
            takes a page before the oldest is given up. A pool of fewer lives on what rows share.
        device: where the pages lie.
        dtype: what attention is computed in.

    Raises:
        InputError: there are no pages, or the window is smaller than the one frame that the sink stands in for.
    """

    def __init__(
        self,
        codec: Codec,
        *,
        layers: int,
        heads: int,
        window: int,
        tokens: int,
        head_dim: int,
        pages: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        if window < 1:
            raise InputError(f"window: expected room for the sink and a frame, at least 1, got {window}")
        if pages < 1:
            raise InputError(f"pages: expected at least 1, got {pages}; rows * window never runs out")
        self.codec, self.layers, self.window, self.pages, self.dtype = codec, layers, window, pages, dtype
        self.stores = [
            [codec.of(layer, side).empty(pages + 1, heads, tokens=tokens, head_dim=head_dim, device=device)
             for side in range(2)]
            for layer in range(layers)
        ]  # fmt: skip
        """Parts (G + 1, H, N, ...) by layer, and there keys, then values."""
        self.sinks = torch.zeros(layers, 2, heads, head_dim, device=device, dtype=dtype)
        self.pinned = torch.zeros(pages, dtype=torch.bool, device=device)
        """(G,) bool, pages that stay although no row names them."""

    @property
    def device(self) -> torch.device:
        """Where the pages lie."""
        return self.pinned.device

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """All parts (G + 1, H, N, ...), layer by layer."""
        return tuple(part for layer in self.stores for side in layer for part in side)

    @property
    def nbytes(self) -> int:
        """Bytes of all pages."""
        return sum(part.nbytes for part in self.parts)

    @property
    def page_bytes(self) -> int:
        """Bytes of one page."""
        return self.nbytes // (self.pages + 1)

    def counts(self, *tables: Tensor) -> Tensor:
        """How often each page is named by `tables` (any shape) and pins, (G,) long."""
        counts = torch.zeros(self.pages + 1, dtype=torch.long, device=self.device)
        for table in tables:
            named = torch.where(table < 0, self.pages, table).flatten()
            counts.scatter_add_(0, named, torch.ones_like(named))
        return counts[:-1] + self.pinned

    def free(self, wanted: int, *tables: Tensor) -> Tensor:
        """The first `wanted` pages that nobody names, (wanted,) long; G, the page nobody reads, once there is none."""
        free = self.counts(*tables) == 0
        rank = free.cumsum(0) - 1
        out = torch.full((wanted + 1,), self.pages, dtype=torch.long, device=self.device)
        out.scatter_(0, torch.where(free, rank.clamp(max=wanted), wanted), torch.arange(self.pages, device=self.device))
        return out[:wanted]

    def left(self, *tables: Tensor) -> int:
        """How many pages nobody names. Reads one number back."""
        return int((self.counts(*tables) == 0).sum())

    def check_room(self, wanted: int, rows: int, *tables: Tensor) -> None:
        """Refuse what does not fit. Reads one number back.

        Raises:
            PagesExhausted: fewer than `wanted` pages are free.
        """
        left = self.left(*tables)
        if left < wanted:
            pinned = int(self.pinned.sum())
            raise PagesExhausted(
                f"pages: expected {wanted} free ones, got {left} of {self.pages}; nothing is lost. {rows} dreams with "
                f"{pinned} pinned pages can never run out of {rows * self.window + pinned}"
            )

    def write(self, layer: int, side: int, pages: Tensor, x: Tensor) -> None:
        """Store x (K, H, N, d) in `pages` (K,) of a layer's keys (side 0) or values (side 1), in place."""
        cache_write(x, self.stores[layer][side], pages, self.codec.of(layer, side))

    def copy_pages(self, pages: Tensor) -> tuple[Tensor, ...]:
        """What lies in `pages` (K,), as tensors (K, ...) of their own, in the order of `parts`."""
        return tuple(part[pages] for part in self.parts)

    def paste_pages(self, pages: Tensor, copied: tuple[Tensor, ...]) -> None:
        """Put what `copy_pages` returned into `pages` (K,), in place."""
        for part, new in zip(self.parts, copied, strict=True):
            part[pages] = new.to(part.device)


class PageView(NamedTuple):
    """What frames of a pass see, and where contexts among them are kept."""

    table: Tensor  # (R, W) long, in [0, G)
    visible: Tensor  # (R, W) bool
    page: Tensor | None  # (B,) long, for the first B frames if they are contexts


@dataclass(frozen=True, slots=True)
class PagedCache:
    """A `FrameMemory` of B rows over a pool. Frame t is named in column t % W; rows are moved like rows of anything."""

    pool: PagePool
    table: Tensor  # (B, W) long, pages of the last W frames; NONE where there is none or it is due
    position: Tensor  # (B,) long
    page: Tensor | None = None  # (B,) long, free pages that were taken for what is due

    @classmethod
    def empty(cls, pool: PagePool, rows: int) -> PagedCache:
        """`rows` dreams that remember nothing."""
        table = torch.full((rows, pool.window), NONE, dtype=torch.long, device=pool.device)
        return cls(pool, table, torch.zeros(rows, dtype=torch.long, device=pool.device))

    # ---- a frame in the making: see FrameMemory

    @property
    def dtype(self) -> torch.dtype:
        """Of the frame in progress."""
        return self.pool.dtype

    def opened(self, *, due: bool) -> PagedCache:
        """With free pages for what is due, unless they have been taken already."""
        if not due or self.page is not None:
            return self
        return replace(self, page=self.pool.free(len(self.table), self.table))

    def view(self, role: Role) -> PageView:
        """Pages that frames in a role see; a target sees what is due, which is put before it looks."""
        if role is Role.CONTEXT:
            return PageView(self.table.clamp(min=0), self.table >= 0, self.page)
        table = self.settled().table
        return PageView(table.clamp(min=0), table >= 0, None)

    def join(self, context: PageView, target: PageView) -> PageView:
        """Contexts, then targets: as many rows of one table."""
        table, visible = (torch.cat(pair) for pair in zip(context[:2], target[:2], strict=True))
        return PageView(table, visible, context.page)

    def put(self, view: PageView, layer: int, keys: Tensor, values: Tensor) -> None:
        """Encode the keys and values of contexts into their pages, in place. Targets keep theirs to themselves."""
        if view.page is not None:
            for side, x in enumerate((keys, values)):
                self.pool.write(layer, side, view.page, x[: len(view.page)])

    def attend(self, view: PageView, layer: int, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attention (R, H, N, d) over the pages that are seen, the frames themselves and the sink."""
        pool = self.pool
        (key_parts, value_parts), (sink_key, sink_value) = pool.stores[layer], pool.sinks[layer]
        frame = PagedFrame(
            q.to(pool.dtype), keys, values, key_parts, value_parts, view.table, view.visible, sink_key, sink_value,
            pool.codec.of(layer, 0), pool.codec.of(layer, 1),
        )  # fmt: skip
        return paged_attention(frame)

    def settled(self, write: Tensor | None = None) -> PagedCache:
        """The table names the pages of what was due."""
        if self.page is None:
            return self
        page = self.page if write is None else torch.where(write, self.page, NONE)
        return replace(self, table=self._with_column(self.position - 1, page), page=None)

    def counted(self, write: Tensor | None = None) -> PagedCache:
        """The oldest frame is given up for the frame to come, which is due."""
        gone = torch.full_like(self.position, NONE)
        return replace(self, table=self._with_column(self.position, gone), position=self.position + 1)

    def _with_column(self, time: Tensor, page: Tensor) -> Tensor:
        return self.table.scatter(1, (time % self.pool.window).unsqueeze(1), page.unsqueeze(1))


def used_pages(table: Tensor) -> tuple[Tensor, Tensor]:
    """The pages that a table names, each once (K,), and the table renumbered to them. Its shape depends on data."""
    pages, renumbered = torch.unique(table, return_inverse=True)
    missing = int((pages < 0).sum())
    return pages[missing:], torch.where(table < 0, NONE, renumbered - missing)
