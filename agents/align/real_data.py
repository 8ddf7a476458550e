"""The recording that a model is aligned beside: what it still has to predict, and where its dreams begin.

# B dreams, P context, T frames, N tokens, C channels, A action size
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wmenv import DataError, Episode, WorldModel, objectives, presets, train, training

from .dreams import Context

HELD_BATCHES, HELD_ROWS, HELD_FRAMES = 8, 64, 8
HELD_SEED = 71


@dataclass(frozen=True, slots=True, eq=False)
class RealData:
    """Recorded latents, those to learn from and those kept apart.

    Args:
        episodes: Those to learn from, as they were recorded.
        learned: The same as latents.
        kept: Episodes to measure by, never learned from.
        forcing: How the noise of the supervised loss is drawn.
        matrix: (N * C, N * C), what errors are weighed by, see `objectives.whitener`.
    """

    episodes: Sequence[Episode]
    learned: training.LatentEpisodes
    kept: training.LatentEpisodes
    forcing: objectives.ForcingConfig
    matrix: Tensor

    @classmethod
    def of(cls, model: WorldModel, episodes: Sequence[Episode]) -> RealData:
        """The episodes as the model's latents, parted as its training parted them.

        Raises:
            DataError: There are fewer than two episodes.
        """
        if len(episodes) < 2:
            raise DataError(f"data: expected at least 2 episodes, one of them to measure by, got {len(episodes)}")
        parts = train.parted(episodes)
        learned, kept = (training.encode_episodes(model, part) for part in parts)
        return cls(parts[0], learned, kept, _forcing(model), training.change_emphasis(model, learned))

    def loss(self, model: WorldModel, rows: int, frames: int, generator: torch.Generator) -> Tensor:
        """The supervised loss of one batch, as in training."""
        return self.loss_on(model, self.learned, rows, frames, generator)

    @torch.no_grad()
    def kept_loss(self, model: WorldModel) -> float:
        """The same on the episodes kept apart, always of the same clips and noise."""
        total = 0.0
        for batch in range(HELD_BATCHES):
            generator = torch.Generator().manual_seed(HELD_SEED + batch)
            total += float(self.loss_on(model, self.kept, HELD_ROWS, HELD_FRAMES, generator))
        return total / HELD_BATCHES

    def loss_on(
        self,
        model: WorldModel,
        episodes: training.LatentEpisodes,
        rows: int,
        frames: int,
        generator: torch.Generator,
    ) -> Tensor:
        """The same of a batch of any episodes."""
        clip = episodes.sample(rows, frames, generator)
        clip = type(clip)(*(field.to(model.device) for field in clip))
        dynamics, heads = model.dynamics, model.heads
        _, parts = objectives.forcing_loss(dynamics, heads, clip, self.forcing, generator, matrix=self.matrix)
        return parts["dynamics"]

    def contexts(
        self, model: WorldModel, rows: int, frames: int, generator: torch.Generator, *, kept: bool = False
    ) -> Context:
        """Starts drawn evenly from the recorded steps, with the `frames` + 1 actions that followed.

        Where an episode ends sooner, its last action goes on. For frames only those whose whole past was recorded: who
        judges a dream of frames reads the speed at its start from the frames before.

        Raises:
            DataError: There are no such steps.
        """
        return self.cut(model, frames, rows, generator, kept=kept)[0]

    def cut(
        self, model: WorldModel, frames: int, rows: int, generator: torch.Generator, *, kept: bool = False
    ) -> tuple[Context, Tensor, Tensor]:
        """The same with what really followed: latents (B, T, N, C), and which of them were reached (B, T) bool."""
        source, past = (self.kept if kept else self.learned), model.context
        earliest = past - 1 if model.config.modality == "frames" else 0
        steps = (source.length - 1 - earliest).clamp(min=0)
        edges = steps.cumsum(0)
        if not edges[-1]:
            use = "measure by" if kept else "learn from"
            raise DataError(f"data: expected an episode of {past} steps or more to {use}; record longer ones")
        drawn = torch.randint(int(edges[-1]), (rows,), generator=generator)
        episode = torch.searchsorted(edges, drawn, right=True)
        frame = drawn - (edges - steps)[episode] + earliest
        clip = source.cut(episode, frame - past + 1, past + frames + 1)
        clip = type(clip)(*(field.to(model.device) for field in clip))
        last = clip.target.long().cumsum(1).argmax(1)
        at = torch.arange(past + frames + 1, device=model.device).minimum(last[:, None])
        action = clip.action.gather(1, at.unsqueeze(-1).expand_as(clip.action))
        context = Context(clip.latent[:, :past], clip.action[:, :past], clip.valid[:, :past], action[:, past:])
        return context, clip.latent[:, past:-1], clip.target[:, past:-1]


def _forcing(model: WorldModel) -> objectives.ForcingConfig:
    """As the preset of these sizes draws it; that of the smallest for sizes of the user's own."""
    c = model.config
    sizes = next(
        (p for p in presets.PRESETS.values() if (p.width, p.depth, p.heads) == (c.width, c.depth, c.heads)),
        presets.PRESETS["tiny"],
    )
    return objectives.preset_forcing(sizes)
