"""wmenv: Gymnasium environments whose steps are dreamed by a world model and checked by physics.

Importing it registers the ids. Everything else on this face is imported when it is first used, so that the ids cost no
torch, and torch no pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .envs.registration import register_all
from .errors import CheckpointError, DataError, InputError, TrainingError, WmenvError

if TYPE_CHECKING:
    from .data import DataInfo, Episode, EpisodeStore
    from .envs import AsyncDreamVectorEnv, DreamEnv, DreamVectorEnv, LatentObservation, LatentVectorObservation
    from .world_model import WorldModel

_PLACES = {
    "AsyncDreamVectorEnv": "envs",
    "DataInfo": "data",
    "DreamEnv": "envs",
    "DreamVectorEnv": "envs",
    "Episode": "data",
    "EpisodeStore": "data",
    "LatentObservation": "envs",
    "LatentVectorObservation": "envs",
    "WorldModel": "world_model",
}

__all__ = [
    "AsyncDreamVectorEnv",
    "CheckpointError",
    "DataError",
    "DataInfo",
    "DreamEnv",
    "DreamVectorEnv",
    "Episode",
    "EpisodeStore",
    "InputError",
    "LatentObservation",
    "LatentVectorObservation",
    "TrainingError",
    "WmenvError",
    "WorldModel",
]

register_all()


def __getattr__(name: str) -> Any:
    """Imports what is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
