"""How good a world model is, measured on episodes that it was not trained on."""

from .horizon import horizon_error
from .probe import probe_latents

__all__ = ["horizon_error", "probe_latents"]
