"""The video is lossless in RGB, whatever the pixels, the size and the rate."""

from __future__ import annotations

import time
from fractions import Fraction

import av
import numpy as np
import pytest

from wmenv.data.video import decode_video, encode_video, rate
from wmenv.errors import DataError


def frames_of(count: int, size: int, seed: int = 0) -> np.ndarray:
    """A still background, a moving block and some frames of noise."""
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(0, 256, (1, size, size, 3), np.uint8), count, axis=0)
    for t in range(count):
        at = t % (size - 3)
        frames[t, at : at + 3, at : at + 3] = (255, 0, 0)  # a goal of three pixels
    frames[::7] = rng.integers(0, 256, frames[::7].shape, np.uint8)
    return frames


@pytest.mark.parametrize("size", [8, 17, 64])
@pytest.mark.parametrize("fps", [20.0, 1 / 0.015, 125.0])
def test_bit_equal(size: int, fps: float):
    frames = frames_of(150, size)
    data = encode_video(frames, size=size, fps=fps)
    np.testing.assert_array_equal(decode_video(data, name="v", count=150, size=size, total=150), frames)
    for first, count in ((0, 1), (1, 10), (63, 3), (64, 1), (149, 1), (100, 50)):
        part = decode_video(data, name="v", count=count, size=size, first=first)
        np.testing.assert_array_equal(part, frames[first : first + count])


def test_extremes_survive():
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    frames[1] = 255
    frames[2, ::2] = 255
    frames[3, :, ::2, 0] = 255
    data = encode_video(frames, size=16, fps=25)
    np.testing.assert_array_equal(decode_video(data, name="v", count=4, size=16), frames)


def test_one_frame():
    frames = frames_of(1, 16)
    data = encode_video(frames, size=16, fps=25)
    np.testing.assert_array_equal(decode_video(data, name="v", count=1, size=16, total=1), frames)


def test_the_container_says_the_rate():
    import io

    data = encode_video(frames_of(30, 16), size=16, fps=1 / 0.015)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(200, 3) == rate(1 / 0.015)
        times = [frame.time for frame in container.decode(stream)]
    assert times == pytest.approx(np.arange(30) * 0.015, abs=1e-4)  # LeRobot finds frames by time


def test_encoding_is_deterministic():
    frames = frames_of(40, 16)
    assert encode_video(frames, size=16, fps=25) == encode_video(frames, size=16, fps=25)


def test_wrong_size_count_and_bytes_are_named():
    data = encode_video(frames_of(10, 16), size=16, fps=25)
    for kwargs in ({"count": 10, "size": 32}, {"count": 11, "size": 16}, {"count": 10, "size": 16, "total": 9}):
        with pytest.raises(DataError, match="^clip.mp4: expected"):
            decode_video(data, name="clip.mp4", **kwargs)
    for bad in (b"", b"text", data[: len(data) // 2], data[100:]):
        with pytest.raises(DataError, match="^clip.mp4: expected"):
            decode_video(bad, name="clip.mp4", count=10, size=16)


@pytest.mark.slow
def test_speed():
    """At least 5,000 frames/s each way at 64 x 64 on a core of one's own."""
    frames = frames_of(1, 64).repeat(5000, axis=0)
    for t in range(5000):
        frames[t, 10:14, t % 60 : t % 60 + 4] = 200
    begun = time.process_time()
    data = encode_video(frames, size=64, fps=25)
    between = time.process_time()
    decode_video(data, name="v", count=5000, size=64)
    assert 5000 / (between - begun) > 5000
    assert 5000 / (time.process_time() - between) > 5000
