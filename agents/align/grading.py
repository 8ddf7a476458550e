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
from .verifiers import shown, shown_before

COARSE = 4  # frames; dreams that ended early are cut to a multiple, so that most are judged side by side


class Grades(NamedTuple):
    """What the verifier said of B dreams."""

    reports: Sequence[physics.PhysicsReport | None]  # of each dream; None where it ended too early
    reward: Tensor  # (B, T), 0 where not judged
    judged: Tensor  # (B, T) bool


@dataclass(frozen=True, slots=True)
class Grader:
    """Reads motions out of dreams, in a way that is fixed, and has each judged.

    Args:
        model: Decodes its latents; its tokenizer is not learned any more.
        verifier: Of the model's task.
        estimator: Reads the states in frames; it was trained on real ones and is frozen. None for a model of states.

    Raises:
        InputError: The verifier is another task's, or the model dreams something else than is read.
    """

    model: WorldModel
    verifier: physics.MotionVerifier
    estimator: physics.StateEstimator | None = None

    def __post_init__(self) -> None:
        c, reads = self.model.config, "state" if self.estimator is None else "frames"
        if self.verifier.task != c.task:
            raise InputError(f"verifier: expected one of {c.task}, which the model dreams, got {self.verifier.task}'s")
        if c.modality != reads:
            kind = {"state": "a MotionVerifier for a model of states", "frames": "a FrameVerifier for one of frames"}
            raise InputError(f"verifier: expected {kind[c.modality]}, got one that reads {reads}")

    @classmethod
    def of(cls, model: WorldModel, verifier: physics.MotionVerifier | physics.FrameVerifier) -> Grader:
        """With the estimator of a verifier of frames."""
        if isinstance(verifier, physics.FrameVerifier):
            return cls(model, verifier.motion, verifier.estimator)
        return cls(model, verifier)

    def read(self, latents: Tensor, actions: Any) -> tuple[list[physics.MotionClip], list[np.ndarray] | None]:
        """The motions in (B, T, N, C) latents, and of frames how unsure the estimator is, (T,) each.

        Args:
            latents: On the model's device.
            actions: (B, T - 1, A) between them in the task's own units.
        """
        if self.estimator is None:
            states = self.model.tokenizer.decode(latents).double().cpu().numpy()
            return physics.clips_of_states(self.model.config.task, states, actions), None
        return self.estimator.read_many(shown(self.model, latents), list(actions))


class Motions(NamedTuple):
    """The motions in dreams of one length."""

    rows: np.ndarray  # (R,) which dreams
    frames: int  # dreamed ones, after those that were shown before
    clips: list[physics.MotionClip]
    unsure: list[np.ndarray] | None


def motions(grader: Grader, model: WorldModel, dreams: Dreams) -> list[Motions]:
    """Reads every dream up to its end; those that ended at once are left out."""
    before, (_, frames) = shown_before(model), dreams.shape
    latents = torch.cat((dreams.context.latents[:, -before:], dreams.latents), dim=1)
    unit = torch.cat((dreams.context.actions[:, dreams.context.actions.shape[1] + 1 - before :], dreams.actions), dim=1)
    actions = (model.action_middle + model.action_half * unit).double().cpu().numpy()
    lasts = dreams.alive.sum(1).cpu().numpy()
    lasts = np.where(lasts < frames, lasts // COARSE * COARSE, frames)
    found = []
    for last in np.unique(lasts[lasts > 0]):
        rows, end = np.flatnonzero(lasts == last), before + int(last)
        clips, unsure = grader.read(latents[rows, :end], actions[rows, : end - 1])
        found.append(Motions(rows, int(last), clips, unsure))
    return found


def grade(grader: Grader, model: WorldModel, dreams: Dreams, reward: Reward) -> Grades:
    """Judges every dream up to its end.

    Raises:
        TrainingError: A reward is not finite.
    """
    rows, frames = dreams.shape
    reports: list[physics.PhysicsReport | None] = [None] * rows
    earned, judged = torch.zeros(rows, frames), torch.zeros(rows, frames, dtype=torch.bool)
    for part in motions(grader, model, dreams):
        found = grader.verifier.verify(part.clips, part.unsure)
        for row, report in zip(part.rows, found, strict=True):
            reports[row] = report
            earned[row, : part.frames] = torch.from_numpy(reward(report)[-part.frames :]).float()
            judged[row, : part.frames] = True
    if not earned.isfinite().all():
        raise TrainingError("reward: expected finite numbers, got NaN or infinity; the model was left as it was")
    return Grades(reports, earned.to(dreams.latents.device), judged.to(dreams.latents.device))


class Reward(Protocol):
    """What a report is worth to the generator."""

    def __call__(self, report: physics.PhysicsReport) -> np.ndarray:
        """Of every frame of the clip; those before the dream began do not count."""
        ...


def dense(report: physics.PhysicsReport) -> np.ndarray:
    """Every frame its own: nothing up to 'as good as real', falling above."""
    return report.reward()


def binary(report: physics.PhysicsReport) -> np.ndarray:
    """One word for the whole clip, at its end: could it be real? As RLPF rewards success (arXiv 2506.12769)."""
    out = np.zeros(len(report.score))
    out[-1] = float(report.plausible)
    return out
