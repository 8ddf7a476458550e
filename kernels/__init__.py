"""Ops whose layout is ours; each has a plain-torch definition of correct, a GPU form joins only when it is faster."""

from .attention import frame_attention, frame_attention_reference

__all__ = ["frame_attention", "frame_attention_reference"]
