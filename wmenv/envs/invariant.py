"""Forwards whose floats do not depend on the batch: rows run in chunks of one size, each at a place its seed gives.

A matrix product may round a row differently when the batch is larger or the row lies elsewhere in it. Here neither can
change: the chunk has CHUNK rows always, and a row stands at seed % CHUNK in it, alone or among a thousand. So the same
seed meets the same kernel at the same place. It holds on one machine with one number of threads.

# B rows, M chunks
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

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


def run_in_chunks(function: Callable[..., Tree], seed: Tensor, *rows: Tree) -> Tree:
    """`function(*rows)` for rows (B, ...) of seeds `seed` (B,), chunk by chunk."""
    source, place = places(seed)
    parts = [function(*(map_rows(lambda x, c=chunk: x[c], tree) for tree in rows)) for chunk in source.split(CHUNK)]
    return _join(parts, place)


def _join(parts: list[Tree], place: Tensor) -> Tree:
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)[place]
    return type(parts[0])(*(_join(list(field), place) for field in zip(*parts, strict=True)))
