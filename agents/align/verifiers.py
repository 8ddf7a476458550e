"""Who grades the dreams: V, calibrated on the user's own real clips, in worlds around the one they were recorded in.

The judge J of `physics.worlds.judge` is no part of this: tests/physics/worlds hold that no reward imports it.

# T frames
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

import physics
from wmenv import DataError, Episode, WorldModel

from .config import AlignConfig

REWARDED = (
    "replay_1", "replay_4", "replay_8", "penetration", "float", "skate", "energy_gain", "speed_mismatch",
    "range_excess", "speed_excess",
)  # fmt: skip
"""What a reward is made of: all that says in which frame something is wrong, but the innovations, which cost ten times
as much as all of these together, and the forces, which are read out of accelerations and so punish noise."""

FEWEST = 48  # clips to calibrate on
MOST_FRAMES = 8192  # of all clips together
IDENTIFIED_FRAMES, IDENTIFIED_CLIPS = 17, 192  # two windows of 8 control steps each


def real_clips(
    task: str, episodes: Sequence[Episode], frames: int, most: int | None = None
) -> list[physics.MotionClip]:
    """Clips of `frames` states out of recorded episodes, evenly out of all stretches, at most `most` of them.

    They are as dreams will be: without what a state leaves out.

    Raises:
        DataError: The episodes are too short for `FEWEST` clips.
    """
    stretches = [
        (episode.state[first : first + frames], episode.action[first : first + frames - 1])
        for episode in episodes
        for first in range(0, episode.num_steps + 2 - frames, max(frames // 4, 1))
    ]
    if len(stretches) < FEWEST:
        raise DataError(
            f"data: expected {FEWEST} stretches of {frames} frames to calibrate the verifier on, got {len(stretches)}; "
            "record longer episodes or more of them, or choose fewer frames"
        )
    chosen = np.unique(
        np.linspace(0, len(stretches) - 1, min(most or MOST_FRAMES // frames, len(stretches))).round().astype(int)
    )
    states, actions = (np.stack([stretches[i][part] for i in chosen]) for part in (0, 1))
    return physics.clips_of_states(task, states, actions)


def longest_clips(episodes: Sequence[Episode], most: int) -> int:
    """How many frames, at most `most`, clips may have so that the episodes hold `FEWEST` of them; at least 2."""
    for frames in range(most, 2, -1):
        if sum(max(0, (e.num_steps + 1 - frames) // max(frames // 4, 1) + 1) for e in episodes) >= FEWEST:
            return frames
    return 2


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


def calibrated(
    model: WorldModel,
    clips: Sequence[physics.MotionClip],
    worlds: Sequence[physics.World],
    *,
    noise: float,
    signals: Collection[str] | None = None,
) -> physics.MotionVerifier | physics.FrameVerifier:
    """A verifier of what a model dreams, to which real clips look real.

    For frames they are drawn, go through the model's tokenizer as dreams do, and are read by the shipped estimator:
    what the tokenizer blurs is no fault of the dynamics.

    Raises:
        EstimatorError: The frames are another task's, for which no estimator is shipped.
    """
    task = model.config.task
    if model.config.modality == "state":
        known = physics.calibrate(clips, noise=noise, worlds=worlds, signals=signals)
        return physics.MotionVerifier(task, calibration=known, worlds=worlds)
    estimator = physics.StateEstimator.shipped(task)

    def read(real: Sequence[physics.MotionClip]) -> tuple[list[physics.MotionClip], list[np.ndarray]]:
        return estimator.read_many([redrawn(model, clip) for clip in real], [clip.action for clip in real])

    known = physics.calibrate(clips, read=read, worlds=worlds, signals=signals)
    return physics.FrameVerifier(estimator, known, worlds)


@torch.no_grad()
def redrawn(model: WorldModel, clip: physics.MotionClip) -> np.ndarray:
    """A real clip's film (T, S, S, 3) uint8 as the model would show it."""
    pictures = physics.film(clip, size=model.config.image_size or 0)
    latents = model.tokenizer.encode(torch.from_numpy(pictures)[None].to(model.device))
    return model.tokenizer.decode(latents)[0].cpu().numpy()


def rewarding_verifier(
    model: WorldModel, clips: Sequence[physics.MotionClip], worlds: Sequence[physics.World], config: AlignConfig
) -> physics.MotionVerifier | physics.FrameVerifier:
    """The verifier whose report is the reward."""
    return calibrated(model, clips, worlds, noise=config.noise, signals=REWARDED)
