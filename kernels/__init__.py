"""Ops whose layout is ours; each has a plain-torch definition of correct, a GPU form joins only when it is faster."""

from .attention import cache_attention, frame_attention, frame_attention_reference
from .codecs import Codec, CodecError, Int4, Int8, Plain, codec_named
from .int2 import Int2
from .linear import Linear, linear, linear_reference

__all__ = [
    "Codec",
    "CodecError",
    "Int2",
    "Int4",
    "Int8",
    "Linear",
    "Plain",
    "cache_attention",
    "codec_named",
    "frame_attention",
    "frame_attention_reference",
    "linear",
    "linear_reference",
]
