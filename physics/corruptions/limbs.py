"""Which joints are each other's mirror image, by what people call them."""

from __future__ import annotations

import re

LEGS = ("hip", "thigh", "knee", "leg", "calf", "shin", "ankle", "foot")
_SIDES = {"left": "right", "l": "r", "L": "R", "Left": "Right"}


def leg_pairs(names: list[str]) -> tuple[tuple[int, int], ...]:
    """Index pairs of joints that stand for the same joint of two limbs; legs only, where there are any.

    Known ways to say it: left_hip and right_hip (also l_hip, hip_left), thigh_left_joint beside a bare thigh_joint,
    and bthigh beside fthigh for the back and front leg.
    """
    index = {name: i for i, name in enumerate(names)}
    found = []
    for i, name in enumerate(names):
        other = next((index[n] for n in _counterparts(name) if n in index), None)
        if other is not None and other != i:
            found.append((min(i, other), max(i, other)))
    pairs = sorted(set(found))
    legs = [pair for pair in pairs if any(word in names[pair[0]].lower() for word in LEGS)]
    return tuple(legs or pairs)


def _counterparts(name: str) -> list[str]:
    parts = re.split(r"([_.\-])", name)
    out = []
    for k, part in enumerate(parts):
        if part in _SIDES:
            out.append("".join([*parts[:k], _SIDES[part], *parts[k + 1 :]]))
            bare = parts[: max(k - 1, 0)] + parts[k + 1 :] if k else parts[k + 2 :]
            out.append("".join(bare))
    if name.startswith("b") and any(word in name.lower() for word in LEGS):
        out.append("f" + name[1:])
    return out
