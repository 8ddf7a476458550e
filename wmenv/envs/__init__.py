"""Dreams as Gymnasium environments: one functional core, its faces, and what checks them.

`DreamEnv` and `DreamVectorEnv` step a world model; `LatentObservation` and `LatentVectorObservation` let a real task be
seen through the same latents; `lint` looks for the bugs that losses do not show.
"""

from .core import CoreState, CoreStep, DreamCore
from .frames import tile_frames
from .lint import lint
from .lint_trace import Finding
from .model import DreamModel
from .options import DreamClosed, DreamNotReset
from .real import LatentObservation, LatentVectorObservation
from .single import DreamEnv
from .vector import DreamSnapshot, DreamVectorEnv

__all__ = [
    "CoreState",
    "CoreStep",
    "DreamClosed",
    "DreamCore",
    "DreamEnv",
    "DreamModel",
    "DreamNotReset",
    "DreamSnapshot",
    "DreamVectorEnv",
    "Finding",
    "LatentObservation",
    "LatentVectorObservation",
    "lint",
    "tile_frames",
]
