"""A moment of many dreams, kept: everything that is needed to go on from it, here or in another environment."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from .core import CoreState, DreamCore


class DreamSnapshot(NamedTuple):
    """What `save_state` returns: a copy of every row, its random numbers included. Treat it as opaque."""

    core: CoreState  # as `DreamCore.keep` copied it
    ended: np.ndarray  # (N,) bool; True where DISABLED autoreset waits for a reset


def check_snapshot(snapshot: Any, core: DreamCore, like: CoreState) -> None:
    """Refuse what `save_state` did not return, or rows of another number or shape than the state `like` of `core`.

    Raises:
        InputError: saying which.
    """
    if not isinstance(snapshot, DreamSnapshot):
        raise InputError(f"snapshot: expected what save_state() returned, got {type(snapshot).__name__}")
    want, got = _shapes(core, like), _shapes(core, snapshot.core)
    if want != got:
        raise InputError(f"snapshot: expected rows of shapes {want}, got {got}; load it where it was saved")


def _shapes(core: DreamCore, state: CoreState) -> list[tuple[Any, ...]]:
    return [*core.dreams.shapes(state.dream), *(tuple(field.shape) for field in state[1:])]
