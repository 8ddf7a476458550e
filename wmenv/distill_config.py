"""How a world model learns to dream in few steps; apart, so that the command line starts without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .config import METHODS
from .errors import InputError
from .ranges import check_number, check_whole

LONGEST = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillConfig:
    """Options of `wmenv.distill.distill`.

    Attributes:
        method: "consistency" (to `steps` steps of the teacher's flow), "self_forcing" (on its own roll-outs) or
            "flow_map" (any number of steps from one set of weights).
        steps: Denoising steps a frame of the model that comes out; of a flow map, those that it makes unless told.
        updates: Optimizer steps.
        rows: Clips in a batch.
        frames: Frames of a clip; of self_forcing, frames of a roll-out.
        rate: Peak learning rate.
        grid: Steps that the teacher makes from pure noise to a frame, a power of two; not read by self_forcing.
        stride: How many of them lead to a target, before the student itself goes on; not read by self_forcing.
        aimed: Share of jumps that begin where the sampler's do; not read by self_forcing.
        rollouts: Roll-outs of each clip, which are compared with each other too; read by self_forcing alone.
    """

    method: Literal["consistency", "self_forcing", "flow_map"] = "consistency"
    steps: int = 1
    updates: int = 1500
    rows: int = 64
    frames: int = 8
    rate: float = 1e-3
    grid: int = 16
    stride: int = 4
    aimed: float = 0.5
    rollouts: int = 2

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            InputError: A field is out of range.
        """
        if self.method not in METHODS:
            raise InputError(f"method: expected one of {', '.join(METHODS)}, got {self.method!r}")
        for name, least, most in (
            ("steps", 1, 1000), ("updates", 1, 2**31), ("rows", 1, 65_536), ("frames", 1, LONGEST), ("grid", 2, 1024),
            ("stride", 1, 1024), ("rollouts", 2, 64),
        ):  # fmt: skip
            check_whole(name, getattr(self, name), least, most)
        for name in ("rate", "aimed"):
            check_number(name, getattr(self, name), 0, 1)
        if self.grid & (self.grid - 1):
            raise InputError(f"grid: expected a power of two, got {self.grid}")
        if self.method != "self_forcing" and self.grid % self.steps:
            raise InputError(f"steps: expected a divisor of grid = {self.grid}, got {self.steps}; choose 1, 2, 4, ...")
