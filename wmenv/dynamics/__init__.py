"""Latents and actions to the next latents."""

from .dit import Dynamics, DynamicsConfig
from .first_cache import new_cache
from .next_frame import NextFrame

__all__ = ["Dynamics", "DynamicsConfig", "NextFrame", "new_cache"]
