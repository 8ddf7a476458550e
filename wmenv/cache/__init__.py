"""What the dynamics remembers between steps."""

from .memory import FrameMemory, Role
from .ring import (
    FrameCache,
    FrameSlot,
    advance,
    copy_cache,
    empty_cache,
    last_slot,
    next_slot,
    visible_slots,
    write_layer,
    write_sink,
)

__all__ = [
    "FrameCache",
    "FrameMemory",
    "FrameSlot",
    "Role",
    "advance",
    "copy_cache",
    "empty_cache",
    "last_slot",
    "next_slot",
    "visible_slots",
    "write_layer",
    "write_sink",
]
