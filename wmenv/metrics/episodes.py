"""Whether there is anything to measure on: said before a tensor of nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from ..data import Episode


def check_episodes(**given: Sequence[Episode]) -> None:
    """Refuses arguments, named by keyword, that hold no episode.

    Raises:
        InputError: one is empty.
    """
    for name, episodes in given.items():
        if not len(episodes):
            raise InputError(f"{name}: expected at least one episode, got none; record more, or part them otherwise")
