"""How a frame is denoised, and in how many steps."""

from .sampler import denoise, euler, sample_clip
from .schedule import autoregressive, full_sequence, pyramid

__all__ = ["autoregressive", "denoise", "euler", "full_sequence", "pyramid", "sample_clip"]
