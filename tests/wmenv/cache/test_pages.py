"""The pool's own promises: who holds a page, what happens when none is left, and what bad input is told."""

from __future__ import annotations

import pytest
import torch

from kernels import codec_named
from tests.wmenv.dreamers import with_rows
from wmenv.cache import NONE, PagedCache, PagePool, PagesExhausted, used_pages
from wmenv.errors import InputError

L, H, W, N, D = 2, 2, 3, 2, 8


def new_pool(pages: int = 12, codec: str = "fp32", window: int = W) -> PagePool:
    return PagePool(
        codec_named(codec), layers=L, heads=H, window=window, tokens=N, head_dim=D, pages=pages,
        device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip


def stepped(cache: PagedCache, value: float = 0.0) -> PagedCache:
    """After one more frame, whose keys are `value` plus the row."""
    cache = cache.counted().opened(due=True)
    rows = len(cache.table)
    keys = (value + torch.arange(rows)).view(-1, 1, 1, 1).expand(rows, H, N, D)
    for layer in range(L):
        cache.pool.write(layer, 0, cache.page, keys)
        cache.pool.write(layer, 1, cache.page, -keys)
    return cache.settled()


def held(cache: PagedCache, row: int) -> list[float]:
    """The keys of a row's frames, oldest first."""
    columns = [(int(cache.position[row]) - W + t) % W for t in range(W)]
    pages = [int(cache.table[row, column]) for column in columns]
    return [float(cache.pool.stores[1][0][0][page, 0, 0, 0]) for page in pages if page != NONE]


def test_the_last_frames_are_named_and_the_oldest_pages_are_free_again():
    cache = PagedCache.empty(new_pool(), 2)
    for t in range(11):
        cache = stepped(cache, 10.0 * t)
        assert held(cache, 1) == [10.0 * s + 1 for s in range(max(0, t - W + 1), t + 1)]
        assert cache.pool.left(cache.table) == 12 - 2 * min(W, t + 1)


def test_a_row_without_a_frame_names_none_but_counts_it():
    cache = PagedCache.empty(new_pool(), 2).counted(torch.tensor([True, False])).opened(due=True)
    cache = cache.settled(torch.tensor([True, False]))
    assert cache.position.tolist() == [1, 1] and (cache.table[1] == NONE).all() and cache.table[0, 0] >= 0


def test_forks_take_no_page_and_part_at_the_next_frame():
    cache = PagedCache.empty(new_pool(), 4)
    for t in range(W):
        cache = stepped(cache, 10.0 * t)
    forked = with_rows(cache, torch.tensor([0, 1, 3]), cache, torch.tensor([2, 2, 2]))
    assert cache.pool.left(forked.table) == 12 - W
    assert cache.pool.counts(forked.table).max() == 4
    after = stepped(forked, 50.0)
    assert [held(after, row) for row in range(4)] == [[12.0, 22.0, 50.0 + row] for row in range(4)]
    assert cache.pool.left(after.table) == 12 - (W - 1) - 4


def test_prefixes_are_named_not_copied():
    pool = new_pool()
    prefix = stepped(stepped(PagedCache.empty(pool, 1), 70.0), 80.0)
    pool.pinned[prefix.table[prefix.table >= 0]] = True
    cache = with_rows(PagedCache.empty(pool, 3), torch.tensor([0, 2]), prefix, torch.tensor([0, 0]))
    assert pool.left(cache.table) == 10
    assert held(cache, 0) == held(cache, 2) == [70.0, 80.0] and held(cache, 1) == []
    for t in range(7):
        cache = stepped(cache, float(t))
    assert pool.left(cache.table) == 12 - 9 - 2, "pinned pages stay when no row names them"


def test_free_pages_are_found_in_order_and_missing_ones_are_nobodys():
    pool = new_pool(5)
    pool.pinned[1] = True
    assert pool.free(3, torch.tensor([[0, NONE, NONE]])).tolist() == [2, 3, 4]
    assert pool.free(4, torch.tensor([[0, 2, 2]])).tolist() == [3, 4, 5, 5]
    assert pool.counts(torch.tensor([[0, 2, 2]])).tolist() == [1, 1, 2, 0, 0]


def test_running_out_says_how_many_would_do():
    pool = new_pool(5)
    table = torch.tensor([[0, 1, 2], [3, NONE, NONE]])
    pool.check_room(1, 2, table)
    with pytest.raises(
        PagesExhausted, match="expected 2 free ones, got 1 of 5; nothing is lost.*can never run out of 6"
    ):
        pool.check_room(2, 2, table)


@pytest.mark.parametrize(("name", "sizes"), [("window", {"window": 0}), ("pages", {"pages": 0})])
def test_sizes_that_make_no_pool(name: str, sizes: dict[str, int]):
    with pytest.raises(InputError, match=f"{name}: expected .*at least 1, got 0"):
        new_pool(**sizes)


@pytest.mark.parametrize("codec", ["fp32", "bf16", "int8", "int4"])
def test_pages_are_copied_and_pasted_bit_for_bit(codec: str):
    pool, other = new_pool(12, codec), new_pool(6, codec)
    cache = PagedCache.empty(pool, 2)
    for t in range(4):
        cache = stepped(cache, 3.3 * t)
    cache = with_rows(cache, torch.tensor([1]), cache, torch.tensor([0]))
    pages, table = used_pages(cache.table)
    assert len(pages) == W and table.max() == W - 1
    other.paste_pages(torch.tensor([5, 0, 2]), pool.copy_pages(pages))
    moved = PagedCache(other, torch.tensor([5, 0, 2])[table], cache.position)
    for a, b in zip(pool.parts, other.parts, strict=True):
        assert torch.equal(a[cache.table], b[moved.table])


def test_bytes_are_what_the_codec_says():
    for codec in ("fp32", "bf16", "int8", "int4"):
        pool = new_pool(codec=codec)
        assert pool.page_bytes * 8 == L * 2 * H * N * D * codec_named(codec).bits_per_number(D)
        assert pool.nbytes == pool.page_bytes * 13
