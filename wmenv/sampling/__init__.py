"""How a frame is denoised, and in how many steps."""

from .sampler import RestingSampler, at_rest, denoise, euler, halving, sample_clip
from .schedule import autoregressive, full_sequence, pyramid

__all__ = [
    "RestingSampler",
    "at_rest",
    "autoregressive",
    "denoise",
    "euler",
    "full_sequence",
    "halving",
    "pyramid",
    "sample_clip",
]
