"""What the dynamics remembers between steps."""

from .ring import (
    FrameCache,
    FrameSlot,
    advance,
    copy_cache,
    empty_cache,
    next_slot,
    visible_frames,
    write_layer,
    write_sink,
)

__all__ = [
    "FrameCache",
    "FrameSlot",
    "advance",
    "copy_cache",
    "empty_cache",
    "next_slot",
    "visible_frames",
    "write_layer",
    "write_sink",
]
