"""The floor under every tracker: motors at rest. What it reaches is what a short clip gives away for nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..mechanics.control_model import ControlModel
from .reference import Ahead

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passive:
    """Every motor in the middle of its range, whatever the clip does."""

    horizon: int = field(default=1, init=False)

    def start(self, m: ControlModel, rows: int, threads: int = 0) -> PassiveRun:
        """A run over `rows` clips of `m`."""
        return PassiveRun(np.broadcast_to((m.low + m.high) / 2, (rows, len(m.low))))


@dataclass(frozen=True, slots=True)
class PassiveRun:
    """The same actions (B, nu) at every step."""

    action: Array

    def act(self, qpos: Array, qvel: Array, ahead: Ahead) -> Array:
        """Actions (B, nu)."""
        return self.action.copy()
