"""What figures are measured on: recorded episodes, or latents that a caller has encoded already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..data.windows import LatentEpisodes
from ..errors import InputError
from ..training.dynamics_stage import encode_episodes

if TYPE_CHECKING:
    from ..data import Episode
    from ..world_model import WorldModel


def check_episodes(**given: Sequence[Episode] | LatentEpisodes) -> None:
    """Refuses arguments, named by keyword, that hold no episode.

    Raises:
        InputError: one is empty.
    """
    for name, episodes in given.items():
        if not len(episodes):
            raise InputError(f"{name}: expected at least one episode, got none; record more, or part them otherwise")


def as_latents(model: WorldModel, episodes: Sequence[Episode] | LatentEpisodes) -> LatentEpisodes:
    """Episodes as the model's latents; latents are taken as they are, so that many figures cost one encoding."""
    return episodes if isinstance(episodes, LatentEpisodes) else encode_episodes(model, list(episodes))
