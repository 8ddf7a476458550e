"""Ops whose layout is ours; each has a plain-torch definition of correct, a GPU form joins only when it is faster."""

from .attention import cache_attention, frame_attention, frame_attention_reference
from .codecs import Codec, CodecError, Int4, Int8, Plain, codec_named
from .dispatch import KernelError
from .int2 import Int2
from .linear import Linear, linear, linear_reference
from .paged import PagedFrame, paged_attention, paged_attention_reference
from .shared_prefix import shared_prefix_attention, shared_prefix_attention_reference
from .turn import inverse_rms, turned
from .writes import cache_write

__all__ = [
    "Codec",
    "CodecError",
    "Int2",
    "Int4",
    "Int8",
    "KernelError",
    "Linear",
    "PagedFrame",
    "Plain",
    "cache_attention",
    "cache_write",
    "codec_named",
    "frame_attention",
    "frame_attention_reference",
    "inverse_rms",
    "linear",
    "linear_reference",
    "paged_attention",
    "paged_attention_reference",
    "shared_prefix_attention",
    "shared_prefix_attention_reference",
    "turned",
]
