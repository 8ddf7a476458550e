"""Pictures inside a page: film strips as PNG and side-by-side films as H.264, both as data URIs."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# T frames, H height, W width

Frames = NDArray[np.uint8]


def png_uri(image: Frames) -> str:
    """An image (H, W, 3) uint8 as a `data:image/png` URI."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode()


def png_bytes(image: Frames) -> bytes:
    """An image (H, W, 3) uint8 as a PNG file."""
    height, width, _ = image.shape
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(image))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def enlarge(image: Frames, scale: int) -> Frames:
    """Each pixel of (..., H, W, 3) as scale x scale pixels."""
    return image.repeat(scale, axis=-3).repeat(scale, axis=-2)


def faded(image: Frames) -> Frames:
    """(..., H, W, 3) drawn half as strongly on grey."""
    return image // 2 + 64


def side_by_side(left: Frames, right: Frames, scale: int = 4, gap: int = 8) -> Frames:
    """Two films (T, H, W, 3) as one, a grey gap between; where one has ended, its last frame stays, faded."""
    length = max(len(left), len(right))
    left, right = (np.concatenate([f, np.repeat(faded(f[-1:]), length - len(f), axis=0)]) for f in (left, right))
    left, right = enlarge(left, scale), enlarge(right, scale)
    middle = np.full((length, left.shape[1], gap, 3), 128, np.uint8)
    return np.concatenate([left, middle, right], axis=2)


def mp4_uri(frames: Frames, fps: float) -> str:
    """A film (T, H, W, 3) uint8 as a `data:video/mp4` URI that every browser plays."""
    return "data:video/mp4;base64," + base64.b64encode(mp4_bytes(frames, fps)).decode()


def mp4_bytes(frames: Frames, fps: float) -> bytes:
    """A film (T, H, W, 3) uint8 as H.264 in yuv420p; odd sizes lose their last row or column.

    Args:
        frames: The film.
        fps: Frames per second, at most 60: faster films are thinned out, since screens show no more.

    Returns:
        An MP4 file.
    """
    import av

    every = max(1, round(fps / 60))
    frames, fps = frames[::every], fps / every
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "20", "preset": "medium"}
        for image in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return file.getvalue()
