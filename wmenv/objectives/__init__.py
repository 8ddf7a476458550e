"""What the models are trained on."""

from .forcing import ForcingConfig, forcing_loss

__all__ = ["ForcingConfig", "forcing_loss"]
