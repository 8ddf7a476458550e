"""What the models are trained on."""

from .consistency import consistency_loss
from .emphasis import whitener
from .flow_map import flow_map_loss
from .forcing import ForcingConfig, forcing_loss, preset_forcing
from .roll_out import own_past
from .self_forcing import self_forcing_loss

__all__ = [
    "ForcingConfig",
    "consistency_loss",
    "flow_map_loss",
    "forcing_loss",
    "own_past",
    "preset_forcing",
    "self_forcing_loss",
    "whitener",
]
