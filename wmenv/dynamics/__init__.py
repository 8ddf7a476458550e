"""Latents and actions to the next latents."""

from .dit import Dynamics, DynamicsConfig
from .first_cache import new_cache, remember
from .mixed_pass import Making, estimate_some
from .next_frame import Due, NextFrame

__all__ = ["Due", "Dynamics", "DynamicsConfig", "Making", "NextFrame", "estimate_some", "new_cache", "remember"]
