"""What the dynamics remembers between steps."""

from .ring import FrameCache, empty_cache, write_frame

__all__ = ["FrameCache", "empty_cache", "write_frame"]
