"""Dreams as Gymnasium environments: one functional core, its faces, and what checks them.

`DreamEnv` and `DreamVectorEnv` step a world model, `AsyncDreamVectorEnv` one whose dreams wait for nobody;
`LatentObservation` and `LatentVectorObservation` let a real task be seen through the same latents; `lint` looks for the
bugs that losses do not show. Names are imported when they are first used, so that `import wmenv` (which registers the
ids) does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asynchronous import AsyncDreamVectorEnv
    from .core import CoreState, CoreStep, DreamCore
    from .frames import tile_frames
    from .linter import lint
    from .linter_trace import Finding
    from .model import DreamModel, resolve_model
    from .options import DreamClosed, DreamNotReset
    from .real import LatentObservation, LatentVectorObservation
    from .room import DreamMemoryError
    from .single import DreamEnv
    from .snapshot import DreamSnapshot
    from .vector import DreamVectorEnv
    from .verdict import Verifier

_PLACES = {
    "AsyncDreamVectorEnv": "asynchronous",
    "CoreState": "core",
    "CoreStep": "core",
    "DreamClosed": "options",
    "DreamCore": "core",
    "DreamEnv": "single",
    "DreamMemoryError": "room",
    "DreamModel": "model",
    "DreamNotReset": "options",
    "DreamSnapshot": "snapshot",
    "DreamVectorEnv": "vector",
    "Finding": "linter_trace",
    "LatentObservation": "real",
    "LatentVectorObservation": "real",
    "Verifier": "verdict",
    "lint": "linter",
    "resolve_model": "model",
    "tile_frames": "frames",
}

__all__ = [
    "AsyncDreamVectorEnv",
    "CoreState",
    "CoreStep",
    "DreamClosed",
    "DreamCore",
    "DreamEnv",
    "DreamMemoryError",
    "DreamModel",
    "DreamNotReset",
    "DreamSnapshot",
    "DreamVectorEnv",
    "Finding",
    "LatentObservation",
    "LatentVectorObservation",
    "Verifier",
    "lint",
    "resolve_model",
    "tile_frames",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = value
    return value
