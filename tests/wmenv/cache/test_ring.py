"""The ring against a plain list: what is kept, what is overwritten, and that the old cache stays as it was."""

from __future__ import annotations

import pytest
import torch

from wmenv.cache import FrameCache, empty_cache, write_frame

B, L, W, N, D = 3, 2, 4, 2, 5


def frame(t: int) -> torch.Tensor:
    """Keys (B, L, N, D) that tell row and time."""
    return (torch.arange(B) * 100.0 + t).view(B, 1, 1, 1).expand(B, L, N, D)


def filled(frames: int, window: int = W) -> FrameCache:
    cache = empty_cache(B, L, window, N, D, device=torch.device("cpu"), dtype=torch.float32)
    for t in range(frames):
        cache = write_frame(cache, frame(t), -frame(t))
    return cache


def kept(cache: FrameCache, row: int) -> set[int]:
    return {int(key) - 100 * row for key in cache.keys[row, 0, cache.cached[row], 0, 0]}


@pytest.mark.parametrize("window", [1, 2, 4])
@pytest.mark.parametrize("frames", [0, 1, 3, 4, 5, 11])
def test_the_last_frames_are_kept(frames: int, window: int):
    cache = filled(frames, window)
    assert cache.keys.shape == (B, L, window, N, D)
    for row in range(B):
        assert kept(cache, row) == set(range(max(0, frames - window), frames))
    assert cache.position.tolist() == [frames] * B
    assert torch.equal(cache.values, -cache.keys)


def test_writing_leaves_the_old_cache_as_it_was():
    cache = filled(3)
    copies = [field.clone() for field in cache]
    after = write_frame(cache, frame(9), frame(9))
    assert all(torch.equal(a, b) for a, b in zip(cache, copies, strict=True))
    assert kept(after, 0) == {0, 1, 2, 9}
    after.keys.zero_()
    assert all(torch.equal(a, b) for a, b in zip(cache, copies, strict=True))


def test_a_row_without_a_frame_counts_it_and_shows_none():
    """The frame whose place it took is gone too: it has left the window."""
    cache = write_frame(filled(W), frame(W), frame(W), torch.tensor([True, False, True]))
    assert [kept(cache, row) for row in range(B)] == [{1, 2, 3, 4}, {1, 2, 3}, {1, 2, 3, 4}]
    assert cache.position.tolist() == [W + 1] * B


def test_rows_at_different_positions_write_to_their_own_slots():
    cache = filled(2)._replace(position=torch.tensor([0, 5, 7]), cached=torch.zeros(B, W, dtype=torch.bool))
    after = write_frame(cache, frame(50), frame(50))
    assert after.cached.nonzero().tolist() == [[0, 0], [1, 1], [2, 3]]


def test_keys_take_the_type_of_the_cache():
    cache = empty_cache(B, L, W, N, D, device=torch.device("cpu"), dtype=torch.bfloat16)
    assert write_frame(cache, frame(1), frame(1)).keys.dtype == torch.bfloat16
