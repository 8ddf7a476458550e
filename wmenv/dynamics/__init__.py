"""Latents and actions to the next latents."""

from .dit import Dynamics, DynamicsConfig
from .next_frame import NextFrame
from .streaming import commit, estimate, new_cache

__all__ = ["Dynamics", "DynamicsConfig", "NextFrame", "commit", "estimate", "new_cache"]
