"""What the dynamics remembers between steps."""

from .memory import FrameMemory, Role
from .pages import NONE, PagedCache, PagePool, PagesExhausted, used_pages
from .ring import (
    FrameCache,
    FrameSlot,
    advance,
    copy_cache,
    count_rows,
    empty_cache,
    last_slot,
    next_slot,
    visible_slots,
    write_layer,
    write_sink,
)

__all__ = [
    "NONE",
    "FrameCache",
    "FrameMemory",
    "FrameSlot",
    "PagePool",
    "PagedCache",
    "PagesExhausted",
    "Role",
    "advance",
    "copy_cache",
    "count_rows",
    "empty_cache",
    "last_slot",
    "next_slot",
    "used_pages",
    "visible_slots",
    "write_layer",
    "write_sink",
]
