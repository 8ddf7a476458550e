"""From dreams to grades: the frozen read-out of a state, the verifier, and a reward for every frame.

# B dreams, T frames, S state coordinates
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

import physics
from wmenv import InputError, TrainingError, WorldModel

from .dreams import Dreams

COARSE = 8  # frames; dreams that ended early are cut to a multiple, so that most are judged side by side


class Grades(NamedTuple):
    """What the verifier said of B dreams."""

    reports: Sequence[physics.PhysicsReport | None]  # of each dream; None where it ended too early
    reward: Tensor  # (B, T), 0 where not judged
    judged: Tensor  # (B, T) bool


class Grader(Protocol):
    """Reads states out of dreams, in a way that is fixed, and reports on each."""

    task: str
    verifier: physics.MotionVerifier | physics.FrameVerifier

    def reports(self, latents: Tensor, actions: np.ndarray) -> list[physics.PhysicsReport]:
        """A report for each of (B, T + 1, N, C) latents with (B, T, A) actions in the task's own units."""
        ...


@dataclass(frozen=True, slots=True)
class StateGrader:
    """Grades dreams of states.

    Args:
        model: Decodes; its tokenizer is not learned any more.
        verifier: Of the model's task.

    Raises:
        InputError: The verifier is another task's, or the model has no state read-out.
    """

    model: WorldModel
    verifier: physics.MotionVerifier

    def __post_init__(self) -> None:
        _check(self.model, self.verifier.task, "state")

    @property
    def task(self) -> str:
        """Id of the task."""
        return self.verifier.task

    def reports(self, latents: Tensor, actions: np.ndarray) -> list[physics.PhysicsReport]:
        """See `Grader`."""
        states = self.model.tokenizer.decode(latents).double().cpu().numpy()
        return self.verifier.verify(physics.clips_of_states(self.task, states, actions))


@dataclass(frozen=True, slots=True)
class FrameGrader:
    """Grades dreams of frames through an estimator that was trained on real ones and is frozen.

    Args:
        model: Decodes its latents to frames.
        verifier: Of the model's task, with its estimator.
    """

    model: WorldModel
    verifier: physics.FrameVerifier

    def __post_init__(self) -> None:
        _check(self.model, self.verifier.task, "frames")

    @property
    def task(self) -> str:
        """Id of the task."""
        return self.verifier.task

    def reports(self, latents: Tensor, actions: np.ndarray) -> list[physics.PhysicsReport]:
        """See `Grader`."""
        films: Any = [self.model.tokenizer.decode(film.unsqueeze(0))[0].cpu().numpy() for film in latents]
        return self.verifier.verify(films, list(actions))


def _check(model: WorldModel, task: str, modality: str) -> None:
    """Refuses a verifier of another task, or a grader that reads something else than the model dreams."""
    c = model.config
    if task != c.task:
        raise InputError(f"verifier: expected one of {c.task}, which the model dreams, got one of {task}")
    if c.modality != modality:
        raise InputError(f"model: expected one that dreams {modality}, got {c.modality}; use the other grader")


def grade(grader: Grader, model: WorldModel, dreams: Dreams, reward: Reward) -> Grades:
    """Judges every dream up to its end.

    Raises:
        TrainingError: A reward is not finite.
    """
    rows, frames = dreams.shape
    latents = torch.cat((dreams.context.latents[:, -1:], dreams.latents), dim=1)
    actions = (model.action_middle + model.action_half * dreams.actions).double().cpu().numpy()
    lasts = dreams.alive.sum(1).cpu().numpy()
    lasts = np.where(lasts < frames, lasts // COARSE * COARSE, frames)
    reports: list[physics.PhysicsReport | None] = [None] * rows
    earned, judged = torch.zeros(rows, frames), torch.zeros(rows, frames, dtype=torch.bool)
    for last in np.unique(lasts[lasts > 0]):
        at = np.flatnonzero(lasts == last)
        found = grader.reports(latents[at, : last + 1], actions[at, :last])
        for row, report in zip(at, found, strict=True):
            reports[row] = report
            earned[row, :last] = torch.from_numpy(reward(report)[1:]).float()
            judged[row, :last] = True
    if not earned.isfinite().all():
        raise TrainingError("reward: expected finite numbers, got NaN or infinity; the model was left as it was")
    return Grades(reports, earned.to(dreams.latents.device), judged.to(dreams.latents.device))


class Reward(Protocol):
    """What a report is worth to the generator."""

    def __call__(self, report: physics.PhysicsReport) -> np.ndarray:
        """(T + 1,), of which the first, the real start, does not count."""
        ...


def dense(report: physics.PhysicsReport) -> np.ndarray:
    """Every frame its own: nothing up to 'as good as real', falling above."""
    return report.reward()


def binary(report: physics.PhysicsReport) -> np.ndarray:
    """One word for the whole clip, at its end: could it be real? As RLPF rewards success (arXiv 2506.12769)."""
    out = np.zeros(len(report.score))
    out[-1] = float(report.plausible)
    return out
