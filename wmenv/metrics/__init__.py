"""How good a world model is, measured on episodes that it was not trained on."""

from .energy import energy_by_horizon
from .horizon import horizon_error
from .probe import probe_latents

__all__ = ["energy_by_horizon", "horizon_error", "probe_latents"]
