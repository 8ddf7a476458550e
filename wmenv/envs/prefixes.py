"""Recorded contexts in pages: each is encoded when a dream first begins from it, and shared by all that begin there.

# K contexts, F frames, W window, P = W + 1 latents of a context, B rows, L layers, H heads, N tokens, d head width
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from kernels import Int2

from ..cache import NONE, PagePool
from ..dynamics import remember
from ..world_model import WorldModel
from .invariant import run_in_chunks

SAMPLES = 8192
"""Tokens of each head that a codebook is fitted to, about, if so many were recorded."""

AT_ONCE = 64
"""Contexts that are encoded together; before they lie in pages, they take up a ring each."""


class Prefixes:
    """The contexts of a model's starts in a pool: all frames but the last, which is due when a dream begins.

    Pages are pinned as long as `budget` lasts. What goes beyond it, and all that was pinned when others needed the
    room, lives as long as rows name it. New starts or weights are noticed.

    Args:
        model: whose contexts.
        pool: where their pages lie.
        budget: pages that may be pinned.
        batch_invariant: encode them in chunks of one size, so that their floats do not depend on what else is asked.
    """

    def __init__(self, model: WorldModel, pool: PagePool, budget: int, *, batch_invariant: bool) -> None:
        self.model, self.pool, self.budget, self.batch_invariant = model, pool, budget, batch_invariant
        self.forget()

    def forget(self) -> None:
        """Unpin all pages; those are free that no row names."""
        pool, valid = self.pool, self.model.start_valid[:, 1:-1]
        pool.pinned.zero_()
        self._table = torch.full((len(valid), pool.window), NONE, dtype=torch.long, device=pool.device)
        self._known = np.zeros(len(valid), dtype=bool)
        self._frames = valid.sum(1).cpu().numpy()
        self._version = self.model.version

    def rows(self, index: Tensor, *beside: Tensor) -> Tensor:
        """The table rows (B, W) of the contexts `index` (B,).

        Args:
            index: (B,) long.
            beside: tables of rows that go on meanwhile.

        Raises:
            PagesExhausted: there is no room, even with no page pinned.
        """
        if self._version != self.model.version:
            self.forget()
        wanted = np.unique(index.cpu().numpy())
        missing = wanted[~self._known[wanted]]
        if len(missing):
            self._encode(self._make_room(wanted, missing, len(index), *beside), *beside)
        return self._table[index]

    def _make_room(self, wanted: np.ndarray, missing: np.ndarray, rows: int, *beside: Tensor) -> np.ndarray:
        """What of `wanted` is to be encoded, once there is room for it: `missing`, or all if pins had to go."""
        if self._frames[missing].sum() > self.pool.left(*beside):
            self.forget()
            self.pool.check_room(int(self._frames[wanted].sum()), rows, *beside)
            return wanted
        return missing

    def _encode(self, missing: np.ndarray, *beside: Tensor) -> None:
        """Write the contexts `missing` into free pages; pin as many as the budget allows."""
        pool, index = self.pool, torch.from_numpy(missing).to(self.pool.device)
        valid = self.model.start_valid[index, 1:-1]
        table = torch.full(valid.shape, NONE, dtype=torch.long, device=pool.device)
        table[valid] = pool.free(int(self._frames[missing].sum()), *beside)
        self._table[index, 1:] = table
        encode = partial(remembered, self.model)
        for some, pages in () if not table.numel() else zip(index.split(AT_ONCE), table.split(AT_ONCE), strict=True):
            held = run_in_chunks(encode, some, some) if self.batch_invariant else encode(some)
            for layer in range(pool.layers):
                for side in range(2):
                    pool.write(layer, side, pages.flatten(), held[:, :, layer, side].flatten(0, 1))
        total = self._frames[self._known].sum() + self._frames[missing].cumsum()
        kept = missing[total <= self.budget]
        self._known[kept] = True
        named = self._table[torch.from_numpy(kept).to(pool.device)]
        pool.pinned[named[named >= 0]] = True


def remembered(model: WorldModel, index: Tensor) -> Tensor:
    """Keys and values (B, W - 1, L, 2, H, N, d) of frames 1 to W - 1 of contexts; frame 0 has left the window."""
    window = model.config.window
    contexts = (x[index, :-1] for x in (model.start_latents, model.start_actions, model.start_valid))
    cache = remember(model.dynamics, *contexts)
    held = torch.stack((cache.keys, cache.values))[..., :-1, :].unflatten(-2, (window + 1, -1))[..., 1:window, :, :]
    return held.permute(1, 4, 3, 0, 2, 5, 6)  # from (2, B, H, L, W - 1, N, d)


def fit_int2(model: WorldModel) -> Int2:
    """Two-bit codes whose centres are fitted to what `model` remembers of its recorded contexts.

    Raises:
        CodecError: they hold fewer tokens than there are centres.
    """
    generator = torch.Generator().manual_seed(0)
    tokens = max(1, int(model.start_valid[:, 1:-1].sum()) * model.config.num_tokens // model.num_starts)
    index = torch.randperm(model.num_starts, generator=generator)[: -(-SAMPLES // tokens)].to(model.device)
    valid = model.start_valid[index, 1:-1]
    held = torch.cat([remembered(model, part)[valid[i]] for part, i in _parts(index)])  # (F, L, 2, H, N, d)
    return Int2.fit(held.permute(1, 2, 3, 0, 4, 5).flatten(3, 4), generator=generator)


def _parts(index: Tensor) -> list[tuple[Tensor, Tensor]]:
    """`index` (K,) in parts that are remembered together, and where each lies in it."""
    places = torch.arange(len(index), device=index.device).split(AT_ONCE)
    return list(zip(index.split(AT_ONCE), places, strict=True))
