"""wmenv: Gymnasium environments whose steps are dreamed by a world model and checked by physics."""

from typing import TYPE_CHECKING, Any

from .envs.registration import register_all
from .errors import CheckpointError, DataError, InputError, TrainingError, WmenvError

if TYPE_CHECKING:
    from .world_model import WorldModel

__all__ = ["CheckpointError", "DataError", "InputError", "TrainingError", "WmenvError", "WorldModel"]

register_all()


def __getattr__(name: str) -> Any:
    """Imports the model late: registering ids needs no torch modules."""
    if name == "WorldModel":
        from .world_model import WorldModel

        return WorldModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
