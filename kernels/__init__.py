"""Ops whose layout is ours; each has a plain-torch definition of correct, a GPU form joins only when it is faster."""

from .attention import cache_attention, frame_attention, frame_attention_reference
from .linear import Linear, linear, linear_reference

__all__ = ["Linear", "cache_attention", "frame_attention", "frame_attention_reference", "linear", "linear_reference"]
