"""Latents and actions to the next latents."""

from .dit import Dynamics, DynamicsConfig
from .streaming import commit, estimate, new_cache

__all__ = ["Dynamics", "DynamicsConfig", "commit", "estimate", "new_cache"]
