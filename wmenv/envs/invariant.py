"""Forwards whose floats do not depend on the batch: rows run in chunks of one size, each at a place its seed gives.

A matrix product may round a row differently when the batch is larger or the row lies elsewhere in it. Here neither can
change: the chunk has CHUNK rows always, and a row stands at seed % CHUNK in it, alone or among a thousand. So the same
seed meets the same kernel at the same place. It holds on one machine with one number of threads.

# B rows, M chunks
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

CHUNK = 16
"""Rows of a chunk. An environment alone pays for all of them; environments with seeds in a row fill them."""

Tree = TypeVar("Tree")


def map_rows(function: Callable[[Tensor], Tensor], tree: Tree) -> Tree:
    """`function` on every tensor of a tensor or a (nested) NamedTuple of tensors."""
    if isinstance(tree, Tensor):
        return function(tree)
    return type(tree)(*(map_rows(function, field) for field in tree))


def places(seed: Tensor) -> tuple[Tensor, Tensor]:
    """Where rows go: (source row of every place (M * CHUNK,), place of every row (B,)); unused places repeat row 0."""
    column = seed.cpu().numpy() % CHUNK
    order = np.argsort(column, kind="stable")
    first = np.searchsorted(column[order], column[order])
    place = np.empty(len(column), dtype=np.int64)
    place[order] = (np.arange(len(column)) - first) * CHUNK + column[order]
    source = np.zeros((place.max() // CHUNK + 1) * CHUNK, dtype=np.int64)
    source[place] = np.arange(len(column))
    return torch.from_numpy(source).to(seed.device), torch.from_numpy(place).to(seed.device)


def run_in_chunks(
    function: Callable[..., Tree], seed: Tensor, *rows: Any, once: tuple[Tensor, int] | None = None
) -> Tree:
    """`function(*rows)` for rows (B, ...) of seeds `seed` (B,), chunk by chunk.

    `once` is a last argument (B,) that no two rows may have alike: where a row is repeated, another number, which is
    given beside it, takes its place.
    """
    source, place = places(seed)
    chunks = list(source.split(CHUNK))
    more: list[tuple[Tensor, ...]] = [()] * len(chunks)
    if once is not None:
        more = [(own,) for own in torch.full_like(source, once[1]).index_copy(0, place, once[0]).split(CHUNK)]
    parts = [
        function(*(map_rows(lambda x, c=chunk: x[c], tree) for tree in rows), *own)
        for chunk, own in zip(chunks, more, strict=True)
    ]
    return _join(parts, place)


def _join(parts: list[Tree], place: Tensor) -> Tree:
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)[place]
    return type(parts[0])(*(_join(list(field), place) for field in zip(*parts, strict=True)))
