"""Frames to lossless video and back: H.264 in RGB, so that a goal of three pixels survives bit for bit.

At 64 x 64 one core encodes and decodes more than 10,000 frames/s (preset ultrafast, one thread, no B-frames).
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

_OPTIONS = {"crf": "0", "preset": "ultrafast", "bf": "0", "g": "64", "threads": "1"}


def rate(fps: float) -> Fraction:
    """Frames per second as the fraction that a container can hold: 66.6667 becomes 200/3."""
    return Fraction(fps).limit_denominator(1001)


def encode_video(frames: Iterable[NDArray[np.uint8]], *, size: int, fps: float) -> bytes:
    """Encodes frames into an MP4 file whose pixels are read back equal.

    Args:
        frames: Frames of shape (size, size, 3), uint8 RGB.
        size: Edge in pixels.
        fps: Frames per second.

    Returns:
        The file's bytes.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264rgb", rate=rate(fps), options=dict(_OPTIONS))
        stream.width = stream.height = size
        stream.pix_fmt = "rgb24"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def decode_video(data: bytes, *, name: str, count: int, size: int, first: int = 0, total: int = 0) -> NDArray[np.uint8]:
    """Decodes `count` frames, from frame `first` on.

    Args:
        data: The file's bytes.
        name: The file's name, for the error.
        count: How many frames to return.
        size: Edge in pixels that is expected.
        first: Index of the first frame wanted; what precedes its keyframe is skipped.
        total: How many frames the whole file must hold; 0 when that does not matter.

    Returns:
        (count, size, size, 3) uint8 RGB.

    Raises:
        DataError: The bytes are no such video, or it holds fewer frames or frames of another size.
    """
    filled = 0
    try:
        with av.open(io.BytesIO(data), "r") as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"  # frames are small: threads cost more than they give
            if (stream.codec_context.width, stream.codec_context.height) != (size, size):
                raise ValueError(f"{stream.codec_context.width} x {stream.codec_context.height} pixels")
            if total and stream.frames != total:
                raise ValueError(f"{stream.frames} frames for {total} observations")
            out = np.empty((count, size, size, 3), np.uint8)
            assert stream.time_base is not None and stream.average_rate is not None
            period = Fraction(1) / (stream.average_rate * stream.time_base)  # ticks for a frame
            if first:
                container.seek(int(first * period), stream=stream)
            for frame in container.decode(stream):
                index = round((frame.pts or 0) / period)
                if index < first:
                    continue
                if index != first + filled:
                    raise ValueError(f"frame {first + filled} is missing")
                out[filled] = frame.to_ndarray() if frame.format.name == "gbrp" else frame.to_ndarray(format="rgb24")
                filled += 1
                if filled == count:
                    return out
    except (av.error.FFmpegError, AssertionError, IndexError, ValueError, MemoryError) as error:
        raise DataError(f"{name}: expected a video of {size} x {size} pixels, got {error}; {_FIX}") from error
    raise DataError(f"{name}: expected {count} frames from frame {first} on, got {filled}; {_FIX}")


_FIX = "restore the file from a copy or record anew"
