"""The ring against a plain list: what is kept, what is overwritten, and what of the old cache stays as it was."""

from __future__ import annotations

import pytest
import torch

from wmenv.cache import (
    FrameCache,
    advance,
    copy_cache,
    empty_cache,
    last_slot,
    next_slot,
    visible_slots,
    write_layer,
    write_sink,
)

B, H, L, W, N, D = 3, 2, 2, 4, 2, 5


def frame(t: int) -> torch.Tensor:
    """Keys (B, H, N, d) that tell row and time."""
    return (torch.arange(B) * 100.0 + t).view(B, 1, 1, 1).expand(B, H, N, D)


def write_frame(cache: FrameCache, t: int, write: torch.Tensor | None = None) -> FrameCache:
    """`cache`, written in place, after frame t in all its layers."""
    at = next_slot(cache)
    for layer in range(L):
        write_layer(cache, at, layer, frame(t), -frame(t))
    return advance(cache, at, write)


def empty(window: int = W, dtype: torch.dtype = torch.float32) -> FrameCache:
    return empty_cache(B, H, L, window, N, D, device=torch.device("cpu"), dtype=dtype)


def filled(frames: int, window: int = W) -> FrameCache:
    cache = empty(window)
    for t in range(frames):
        cache = write_frame(cache, t)
    return cache


def kept(cache: FrameCache, row: int, slots: torch.Tensor | None = None) -> set[int]:
    """The times of a row's frames in `slots` (B, W + 1); by default in those that the next frame sees."""
    slots = cache.cached if slots is None else slots
    keys = cache.keys[row, -1, -1, :-1].unflatten(0, (slots.shape[1], N))
    return {int(key) - 100 * row for key in keys[slots[row], 0, 0]}


@pytest.mark.parametrize("window", [1, 2, 4])
@pytest.mark.parametrize("frames", [0, 1, 3, 4, 5, 11])
def test_the_last_frames_are_kept(frames: int, window: int):
    cache = filled(frames, window)
    assert cache.keys.shape == (B, H, L, (window + 1) * N + 1, D)
    for row in range(B):
        assert kept(cache, row) == set(range(max(0, frames - window), frames))
    assert cache.position.tolist() == [frames] * B
    assert torch.equal(cache.values, -cache.keys)


@pytest.mark.parametrize("frames", [0, 2, 4, 9])
def test_a_frame_sees_the_window_and_itself_and_one_less_once_it_counts(frames: int):
    cache = filled(frames)
    at = next_slot(cache)
    for layer in range(L):
        write_layer(cache, at, layer, frame(frames), frame(frames))
    after = advance(cache, at)
    assert torch.equal(last_slot(after).slot, at.slot)
    for seen, place, first in ((cache, at, frames - W), (after, last_slot(after), frames - W + 1)):
        visible = visible_slots(seen, place)
        assert all(kept(cache, row, visible) == set(range(max(0, first), frames + 1)) for row in range(B))


def test_the_cache_before_a_frame_holds_until_the_frame_after_next():
    """A frame is written where nothing lay, so the old cache can still be read."""
    cache = filled(7)
    after = write_frame(cache, 7)
    assert kept(cache, 1) == {3, 4, 5, 6} and kept(after, 1) == {4, 5, 6, 7}
    assert cache.position.tolist() == [7] * B
    write_frame(after, 8)
    assert kept(cache, 1) == {8, 4, 5, 6}


def test_a_copy_is_not_written():
    cache = filled(3)
    copies = [field.clone() for field in cache]
    after = write_frame(copy_cache(cache), 9)
    assert all(torch.equal(a, b) for a, b in zip(cache, copies, strict=True))
    assert kept(after, 0) == {0, 1, 2, 9}


def test_a_row_without_a_frame_counts_it_and_shows_none():
    """The frame that has left the window is gone all the same."""
    cache = write_frame(filled(W), W, torch.tensor([True, False, True]))
    assert [kept(cache, row) for row in range(B)] == [{1, 2, 3, 4}, {1, 2, 3}, {1, 2, 3, 4}]
    assert cache.position.tolist() == [W + 1] * B


def test_rows_at_different_positions_write_to_their_own_slots():
    cache = filled(2)._replace(position=torch.tensor([0, 6, 9]), cached=torch.zeros(B, W + 1, dtype=torch.bool))
    after = write_frame(cache, 50)
    assert after.cached.nonzero().tolist() == [[0, 0], [1, 1], [2, 4]]


def test_the_sink_lies_in_the_last_column_and_no_frame_overwrites_it():
    cache = empty()
    write_sink(cache, 1, torch.full((H, D), 7.0), torch.full((H, D), 8.0))
    for t in range(12):
        cache = write_frame(cache, t)
    assert (cache.keys[:, :, 1, -1] == 7).all() and (cache.values[:, :, 1, -1] == 8).all()
    assert not cache.keys[:, :, 0, -1].any() and not (cache.keys[..., :-1, :] == 7.5).any()


def test_keys_take_the_type_of_the_cache():
    cache = write_frame(empty(dtype=torch.bfloat16), 1)
    assert cache.keys.dtype == torch.bfloat16 and kept(cache, 0) == {1}
