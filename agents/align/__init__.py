"""RLPF, reinforcement learning from physical feedback: a world model dreams, MuJoCo grades, PPO tunes the model.

Imported when first used, so that the command line can read the options without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .config import METHODS, AlignConfig, Method

if TYPE_CHECKING:
    from .align import align
    from .figures import Figures, figures

_PLACES = {"align": "align", "Figures": "figures", "figures": "figures"}

__all__ = ["METHODS", "AlignConfig", "Figures", "Method", "align", "figures"]


def __getattr__(name: str) -> Any:
    """Imports what is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = value  # a submodule of the same name would hide it once it is imported
    return value
