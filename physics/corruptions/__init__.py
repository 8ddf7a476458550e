"""Known ways for a motion to be wrong, one function each: what a verifier is measured against.

Every corruption takes a list of clips and gives as many back, None where it does not apply to that robot or clip.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..clips.clip import MotionClip
from ..errors import ClipError
from . import actions, objects, states, unlisted, worlds
from .core import Batched, Corruption
from .measure import changes, departure


def _table(*named: tuple[str, Batched]) -> dict[str, Corruption]:
    return {name: Corruption(name, function) for name, function in named}


CORRUPTIONS: dict[str, Corruption] = _table(
    ("gravity", worlds.gravity),
    ("mass", worlds.mass),
    ("friction", worlds.friction),
    ("damping", worlds.damping),
    ("gear", worlds.gear),
    ("float", states.float_up),
    ("sink", states.sink),
    ("teleport", states.teleport),
    ("swapped_actions", actions.swapped_actions),
    ("delayed_actions", actions.delayed_actions),
    ("time_dilation", states.time_dilation),
    ("frozen_joint", states.frozen_joint),
    ("mirrored_limb", states.mirrored_limb),
    ("passing_through", objects.passing_through),
    ("hovering", objects.hovering),
    ("vanishing", objects.vanishing),
    ("foot_skate", states.foot_skate),
    ("jitter", states.jitter),
)
"""Those of the benchmark."""

UNLISTED: dict[str, Corruption] = _table(
    ("wind", unlisted.wind),
    ("sticky_floor", unlisted.sticky_floor),
    ("joint_spring", unlisted.joint_spring),
    ("stuck_actuator", unlisted.stuck_actuator),
    ("negated_actions", unlisted.negated_actions),
    ("splice", unlisted.splice),
    ("time_reversal", unlisted.time_reversal),
    ("double_speed", unlisted.double_speed),
    ("low_pass", unlisted.low_pass),
    ("joint_bias", unlisted.joint_bias),
    ("drift_up", unlisted.drift_up),
)
"""Those that no verifier may be tuned to."""


def corrupt(name: str, clips: Sequence[MotionClip], seed: int, strength: float = 1.0) -> list[MotionClip | None]:
    """The clips, corrupted in the way that `name` says.

    Args:
        name: A key of `CORRUPTIONS` or `UNLISTED`.
        clips: Real motions.
        seed: The same seed gives the same bits.
        strength: 0 leaves the clips untouched, 1 is the size in the corruption's docstring.

    Returns:
        As many as `clips`; None where the corruption does not apply.

    Raises:
        ClipError: There is no such corruption, a clip does not fit its task, or the strength is out of range.

    Example:
        >>> from physics import MotionClip
        >>> still = MotionClip(task="wmenv/InvertedPendulum-v0", qpos=[[0, 0]] * 3, qvel=[[0, 0]] * 3, action=[[1]] * 2)
        >>> corrupt("gear", [still], seed=0)[0].qvel[-1, 0].round(2), corrupt("float", [still], seed=0)
        (np.float64(0.4), [None])
    """
    known = CORRUPTIONS | UNLISTED
    if name not in known:
        raise ClipError(f"name: expected one of {sorted(known)}, got {name!r}")
    return known[name](clips, seed, strength)


__all__ = [
    "CORRUPTIONS",
    "UNLISTED",
    "Corruption",
    "changes",
    "corrupt",
    "departure",
]
