"""Latents and actions to the next latents."""

from .dit import Dynamics, DynamicsConfig
from .first_cache import new_cache, remember
from .next_frame import Due, NextFrame

__all__ = ["Due", "Dynamics", "DynamicsConfig", "NextFrame", "new_cache", "remember"]
