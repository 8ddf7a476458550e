"""Who grades the dreams: V, calibrated on the user's own real clips, in worlds around the one they were recorded in.

The judge J of `physics.worlds.judge` is no part of this: tests/physics/worlds hold that no reward imports it.

# T frames
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import physics
from wmenv import CheckpointError, DataError, Episode, WorldModel, atomic, checkpoint

from .config import AlignConfig
from .real_data import RealData

REWARDED = (
    "replay_1", "replay_4", "replay_8", "penetration", "float", "skate", "energy_gain", "speed_mismatch",
    "range_excess", "speed_excess",
)  # fmt: skip
"""What a reward is made of: all that says in which frame something is wrong, but the innovations, which cost ten times
as much as all of these together, and the forces, which are read out of accelerations and so punish noise."""

WORLDS = "worlds.json"
FEWEST = 48  # clips to calibrate on
MOST_FRAMES = 8192  # of all clips together
MOST_SEEN_FRAMES = 4096  # the same where frames have to be decoded and read
IDENTIFIED_FRAMES, IDENTIFIED_CLIPS = 17, 192  # two windows of 8 control steps each


def real_clips(
    task: str, episodes: Sequence[Episode], frames: int, most: int | None = None
) -> list[physics.MotionClip]:
    """Clips of `frames` states out of recorded episodes, evenly out of all stretches, at most `most` of them.

    They are as dreams will be: without what a state leaves out.

    Raises:
        DataError: The episodes are too short for `FEWEST` clips.
    """
    return _clips_at(task, episodes, frames, _places(episodes, frames, most or MOST_FRAMES // frames))


def _places(episodes: Sequence[Episode], frames: int, most: int) -> list[tuple[int, int]]:
    """Where clips begin: index of the episode, and frame in it."""
    all_of_them = [
        (index, first)
        for index, episode in enumerate(episodes)
        for first in range(0, episode.num_steps + 2 - frames, max(frames // 4, 1))
    ]
    if len(all_of_them) < FEWEST:
        raise DataError(
            f"data: expected {FEWEST} stretches of {frames} frames to calibrate the verifier on, got "
            f"{len(all_of_them)}; record longer episodes or more of them, or choose fewer frames"
        )
    chosen = np.unique(np.linspace(0, len(all_of_them) - 1, min(most, len(all_of_them))).round().astype(int))
    return [all_of_them[i] for i in chosen]


def _clips_at(
    task: str, episodes: Sequence[Episode], frames: int, places: Sequence[tuple[int, int]]
) -> list[physics.MotionClip]:
    states = np.stack([episodes[e].state[first : first + frames] for e, first in places])
    actions = np.stack([episodes[e].action[first : first + frames - 1] for e, first in places])
    return physics.clips_of_states(task, states, actions)


def longest_clips(episodes: Sequence[Episode], most: int, least: int) -> int:
    """How many frames, `least` to `most`, clips may have so that the episodes hold `FEWEST` of them; else `least`."""
    for frames in range(most, least, -1):
        if sum(max(0, (e.num_steps + 1 - frames) // max(frames // 4, 1) + 1) for e in episodes) >= FEWEST:
            return frames
    return least


def check_readable(model: WorldModel) -> None:
    """Refuses what nothing can read, before long work is begun.

    Raises:
        EstimatorError: The model dreams frames of a task for which no estimator is shipped.
    """
    if model.config.modality == "frames":
        physics.StateEstimator.shipped(model.config.task)


def centred_worlds(task: str, episodes: Sequence[Episode], config: AlignConfig) -> tuple[physics.World, ...]:
    """The worlds of V: around the one that identification finds in recorded episodes.

    Raises:
        DataError: The episodes are too short.
    """
    found = physics.identify(real_clips(task, episodes, IDENTIFIED_FRAMES, IDENTIFIED_CLIPS), task)
    return physics.ensemble(config.worlds, config.world_spread, centre=found.world)


def write_worlds(worlds: Sequence[physics.World], path: Path) -> None:
    """Keeps the worlds of V."""
    atomic.write_json(path, {"worlds": [world.to_dict() for world in worlds]})


def read_worlds(path: Path) -> tuple[physics.World, ...]:
    """What `write_worlds` wrote.

    Raises:
        CheckpointError: The file is damaged.
    """
    try:
        return tuple(physics.World.from_dict(world) for world in checkpoint.read_json(path)["worlds"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: expected the worlds of a verifier, got damage ({error}); remove it") from error


class Seen(NamedTuple):
    """What was recorded, as dreams of the same length will be seen."""

    clips: list[physics.MotionClip]  # as they were
    read: list[physics.MotionClip]  # of frames: as they are read out of what the tokenizer makes of them
    unsure: list[np.ndarray]  # of frames: how unsure that is


def seen_clips(model: WorldModel, real: RealData, frames: int) -> Seen:
    """Recorded clips as long as dreams of `frames` frames with what is shown before them.

    Recorded frames are seen as dreamed ones are: out of latents, by the model's tokenizer, read by the shipped
    estimator. What the tokenizer blurs is no fault of the dynamics.

    Raises:
        DataError: The episodes are too short.
        EstimatorError: The frames are another task's, for which no estimator is shipped.
    """
    task, length = model.config.task, shown_before(model) + frames
    if model.config.modality == "state":
        return Seen(real_clips(task, real.episodes, length), [], [])
    places = _places(real.episodes, length, MOST_SEEN_FRAMES // length)
    clips = _clips_at(task, real.episodes, length, places)
    begin = [int(real.learned.start[episode]) + first for episode, first in places]
    latents = torch.stack([real.learned.latent[first : first + length] for first in begin])
    estimator = physics.StateEstimator.shipped(task)
    return Seen(clips, *estimator.read_many(shown(model, latents), [clip.action for clip in clips]))


def calibrated(
    model: WorldModel,
    seen: Seen,
    worlds: Sequence[physics.World],
    *,
    noise: float,
    signals: Collection[str] | None = None,
) -> physics.MotionVerifier | physics.FrameVerifier:
    """A verifier of a model's dreams, to which what was recorded looks real.

    Args:
        model: Says whether dreams are states or frames.
        seen: The recording.
        worlds: In which the verifier replays.
        noise: Errors that are not held against states, in spreads of real ones; frames bring their own.
        signals: What is measured; None: all.
    """
    task, common = model.config.task, {"worlds": worlds, "signals": signals}
    if model.config.modality == "state":
        known = physics.calibrate(seen.clips, noise=noise, **common)
        return physics.MotionVerifier(task, calibration=known, worlds=worlds)
    known = physics.calibrate(seen.clips, read=lambda clips: (seen.read, seen.unsure), **common)
    return physics.FrameVerifier(physics.StateEstimator.shipped(task), known, worlds)


def shown_before(model: WorldModel) -> int:
    """How many frames before a dream's first are judged with it.

    A state tells its own speed. That of a frame is read from its neighbours, so that all that the model has seen is
    laid before the dream: with one frame before it, what it dreams would itself say how fast it was.
    """
    return model.context if model.config.modality == "frames" else 1


@torch.no_grad()
def shown(model: WorldModel, latents: Tensor) -> list[np.ndarray]:
    """The films, of each (T, S, S, 3) uint8, that (B, T, N, C) latents are."""
    return [model.tokenizer.decode(film.unsqueeze(0).to(model.device))[0].cpu().numpy() for film in latents]


def rewarding_verifier(
    model: WorldModel, real: RealData, worlds: Sequence[physics.World], config: AlignConfig
) -> physics.MotionVerifier | physics.FrameVerifier:
    """The verifier whose report is the reward."""
    return calibrated(model, seen_clips(model, real, config.frames), worlds, noise=config.noise, signals=REWARDED)
