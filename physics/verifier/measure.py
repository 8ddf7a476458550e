"""Every signal of a batch of clips: the list of what is measured, with units and the words for it.

# B clips, T frames
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import signals
from ..clips.batch import ClipBatch
from ..mechanics.control_model import ControlModel
from .calibration import Calibration

Array = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """One quantity.

    Args:
        unit: SI, or what it is measured in.
        floor: Smaller values are never held against a clip, in `unit`.
        says: A sentence for a person; `{value}` is filled in.
        needs_action: Whether it reads the actions that the clip claims.
        needs_none: Whether it is measured only where the actions are unknown.
        local: Whether it says in which frame something is wrong, and not only that the clip is.
    """

    unit: str
    floor: float
    says: str
    needs_action: bool = False
    needs_none: bool = False
    local: bool = True


SIGNALS: dict[str, Signal] = {
    "replay_1": Signal(
        unit="spread", floor=1e-3, needs_action=True, says="a step of its actions ends {value:.2g} spreads elsewhere"
    ),
    "replay_4": Signal(
        unit="spread", floor=1e-3, needs_action=True, says="4 steps of its actions end {value:.2g} spreads elsewhere"
    ),
    "replay_8": Signal(
        unit="spread", floor=1e-3, needs_action=True, says="8 steps of its actions end {value:.2g} spreads elsewhere"
    ),
    "innovation": Signal(
        unit="variances", floor=0.1, needs_action=True, says="its actions lead elsewhere, {value:.2g} times its errors"
    ),
    "innovation_8": Signal(
        unit="variances", floor=0.1, needs_action=True,
        says="8 steps of its actions lead elsewhere, {value:.2g} times its errors",
    ),
    "drift": Signal(
        unit="variances", floor=0.1, needs_action=True, local=False,
        says="its actions lead elsewhere, always to the same side, as with another gravity, mass or motor",
    ),
    "tracking": Signal(
        unit="m", floor=2e-3, needs_none=True, says="no command to its motors brings it nearer than {value:.3f} m"
    ),
    "penetration": Signal(unit="m", floor=2e-3, says="something is {value:.3f} m inside something else"),
    "float": Signal(unit="m", floor=5e-3, says="it hangs {value:.3f} m above its support without falling"),
    "skate": Signal(unit="m/s", floor=0.05, says="a point that should stand still slides at {value:.2f} m/s"),
    "unexplained_force": Signal(unit="m g", floor=0.05, says="a force of {value:.2f} weights that no contact explains"),
    "ghost_force": Signal(unit="weights", floor=0.02, says="a joint without a motor is driven"),
    "motor_excess": Signal(unit="1", floor=0.05, says="it needs {value:.0%} more force than a motor has"),
    "energy_gain": Signal(unit="m", floor=1e-3, says="it gains energy enough to rise by {value:.3f} m, from nowhere"),
    "speed_mismatch": Signal(unit="spread", floor=0.01, says="it moves otherwise than its speeds say"),
    "range_excess": Signal(unit="rad or m", floor=0.05, says="a joint is {value:.2f} beyond its range"),
    "speed_excess": Signal(unit="1", floor=0.05, says="a speed is {value:.0%} beyond what real clips reach"),
    "action_excess": Signal(
        unit="half ranges", floor=0.01, needs_action=True, says="an action is {value:.2g} half ranges beyond its motor"
    ),
    "disagreement": Signal(
        unit="95th percentile", floor=0.1, says="what reads its frames is unsure, as it is of nothing real"
    ),
    "quaternion": Signal(unit="1", floor=1e-3, says="a rotation is no rotation: its quaternion is off unit length"),
}  # fmt: skip


READER = "disagreement"
"""The signal that comes with a reader's clips and is not measured on them."""


def measurable(names: Collection[str], *, actions: bool) -> list[str]:
    """Those of the signals `names` that are measured on clips with actions, or on clips without."""
    kinds = {name: SIGNALS[name] for name in names if name != READER}
    return [name for name, kind in kinds.items() if not (kind.needs_none if actions else kind.needs_action)]


def measure(
    clips: ClipBatch, known: Calibration, worlds: tuple[ControlModel, ...] = (), only: Collection[str] = tuple(SIGNALS)
) -> dict[str, Array]:
    """The signals that the clips allow, name -> (B, T), finite.

    Args:
        clips: The clips, all with actions or all without.
        known: The spread of real states and the assumed errors.
        worlds: That the robot might live in, none for the nominal one; what replays in most of them is not held against
            a clip.
        only: Names of those that are wanted; what nobody wants is not computed.
    """
    out = {name: function(clips) for name, function in signal_functions(known).items() if name in only}
    if clips.action is None:
        if "tracking" in only:
            out["tracking"] = signals.tracking_error(clips)
    else:
        noise, each = known.errors, worlds or (clips.m,)
        if "action_excess" in only:
            out["action_excess"] = signals.action_excess(clips)
        if any(name.startswith("replay_") for name in only):
            out |= _median([_replays(clips, noise, world) for world in each])
        if any(name in only for name in _SURPRISES):
            out |= _median([_surprises(clips, noise, world) for world in each])
    return {name: out[name] for name in SIGNALS if name in out and name in only}


def signal_functions(known: Calibration) -> dict[str, Callable[[ClipBatch], Array]]:
    """The signals that need no actions, as functions of a batch."""
    spread, limit = known.errors.qvel_spread, np.array(known.speed_limit)
    return {
        "penetration": signals.penetration,
        "float": signals.float_height,
        "skate": signals.skate,
        "unexplained_force": signals.unexplained_force,
        "ghost_force": signals.ghost_force,
        "motor_excess": signals.motor_excess,
        "energy_gain": signals.energy_gain,
        "speed_mismatch": lambda clips: signals.speed_mismatch(clips, spread),
        "range_excess": signals.range_excess,
        "speed_excess": lambda clips: signals.speed_excess(clips, limit),
        "quaternion": signals.norm_error,
    }


def local(values: Mapping[str, T]) -> dict[str, T]:
    """Those of the signals that say in which frame something is wrong."""
    return {name: value for name, value in values.items() if SIGNALS[name].local}


_SURPRISES = ("innovation", "innovation_8", "drift")


def _surprises(clips: ClipBatch, noise: signals.Noise, world: ControlModel) -> dict[str, Array]:
    found, frames = signals.innovation(clips, noise, world), clips.shape[1]
    each = signals.innovation_square(found, frames), signals.last_square(found, frames), signals.drift(found, frames)
    return dict(zip(_SURPRISES, each, strict=True))


def _replays(clips: ClipBatch, noise: signals.Noise, world: ControlModel) -> dict[str, Array]:
    return {f"replay_{steps}": error for steps, error in signals.replay_errors(clips, noise, world).items()}


def _median(worlds: list[dict[str, Array]]) -> dict[str, Array]:
    """Of several worlds: a frame is bad where most worlds say so."""
    return {name: np.median([world[name] for world in worlds], axis=0) for name in worlds[0]}
