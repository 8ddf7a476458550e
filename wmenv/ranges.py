"""Whether a number that a user gave is one, and in its range: one sentence for all options of all packages."""

from __future__ import annotations

import math

from .errors import InputError


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Refuses what is no integer from `least` to `most`; True and False are none.

    Args:
        name: The field, which the message begins with.
        value: What was given.
        least: Smallest that is allowed.
        most: Largest that is allowed; None: any.

    Raises:
        InputError: It is none.
    """
    inside = isinstance(value, int) and least <= value and (most is None or value <= most)
    if not inside or isinstance(value, bool):
        allowed = f">= {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name}: expected an integer {allowed}, got {value!r}")


def check_number(name: str, value: object, least: float, most: float = math.inf) -> None:
    """Refuses what is no number from `least` to `most`; NaN, True and False are none.

    Args:
        name: The field, which the message begins with.
        value: What was given.
        least: Smallest that is allowed.
        most: Largest that is allowed.

    Raises:
        InputError: It is none.
    """
    inside = isinstance(value, (int, float)) and least <= value <= most
    if not inside or isinstance(value, bool):
        allowed = f">= {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise InputError(f"{name}: expected a number {allowed}, got {value!r}")
