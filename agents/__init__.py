"""agents: what learns in dreams and is proved on real tasks, and the command line over it.

Everything is imported when it is first used, so that `wmenv --help` answers at once.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .baselines import RandomPolicy, ZeroPolicy, train_real
    from .config import ImagineConfig, PPOConfig
    from .demo import demo
    from .doctor import doctor
    from .evaluate import Evaluation, evaluate
    from .imagine import imagine
    from .loop import loop
    from .policy import Policy, PolicyConfig
    from .recording.record import record
    from .report.verdict import verify
    from .tracking.learned import LearnedTracker
    from .tracking.track import track
    from .vec_env import DreamVecEnv, SB3VecEnv
    from .wrap_real import wrap_real

_PLACES = {
    "DreamVecEnv": "vec_env",
    "Evaluation": "evaluate",
    "LearnedTracker": "tracking.learned",
    "ImagineConfig": "config",
    "PPOConfig": "config",
    "Policy": "policy",
    "PolicyConfig": "policy",
    "RandomPolicy": "baselines",
    "SB3VecEnv": "vec_env",
    "ZeroPolicy": "baselines",
    "demo": "demo",
    "doctor": "doctor",
    "evaluate": "evaluate",
    "imagine": "imagine",
    "loop": "loop",
    "record": "recording.record",
    "track": "tracking.track",
    "train_real": "baselines",
    "verify": "report.verdict",
    "wrap_real": "wrap_real",
}

__all__ = [
    "DreamVecEnv",
    "Evaluation",
    "ImagineConfig",
    "LearnedTracker",
    "PPOConfig",
    "Policy",
    "PolicyConfig",
    "RandomPolicy",
    "SB3VecEnv",
    "ZeroPolicy",
    "demo",
    "doctor",
    "evaluate",
    "imagine",
    "loop",
    "record",
    "track",
    "train_real",
    "verify",
    "wrap_real",
]


def __getattr__(name: str) -> Any:
    """Imports the module of a public name."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = value
    return value


class _Face(ModuleType):
    """Keeps `agents.loop` the function after somebody imports the module `agents.loop`, which would hide it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
