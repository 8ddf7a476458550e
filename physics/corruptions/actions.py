"""Real motions with wrong claims: the states stay, the actions that they are said to have followed change."""

from __future__ import annotations

import numpy as np

from ..clips.clip import MotionClip
from .core import Generators, each, edited
from .structure import Robot

DELAY = 2.0  # control steps


def swapped_actions(
    clips: list[MotionClip], robot: Robot, rngs: Generators, strength: float
) -> list[MotionClip | None]:
    """The clip claims another clip's actions, or its own in another order where there is no other clip.

    The other is the next one in the list with as many frames. A strength below 1 mixes both.
    """
    out: list[MotionClip | None] = []
    for i, (clip, rng) in enumerate(zip(clips, rngs, strict=True)):
        if clip.action is None:
            out.append(None)
            continue
        other = partner(clips, i)
        wrong = rng.permutation(clip.action) if other is None else np.asarray(other.action)
        out.append(edited(clip, action=clip.action + strength * (wrong - clip.action)))
    return out


@each
def delayed_actions(clip: MotionClip, robot: Robot, rng: np.random.Generator, strength: float) -> MotionClip | None:
    """The clip claims every action 2 control steps late; the first one fills the gap.

    A strength that makes it a fraction of a step interpolates between neighbours.
    """
    if clip.action is None:
        return None
    steps = np.arange(len(clip.action), dtype=float)
    late = [np.interp(steps - DELAY * strength, steps, column) for column in clip.action.T]
    return edited(clip, action=np.stack(late, axis=1))


def partner(clips: list[MotionClip], i: int) -> MotionClip | None:
    """The next clip after number i, going round, that has actions and as many frames; None if there is none."""
    for j in [*range(i + 1, len(clips)), *range(i)]:
        if clips[j].action is not None and clips[j].frames == clips[i].frames:
            return clips[j]
    return None
