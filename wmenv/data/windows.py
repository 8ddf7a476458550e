"""Clips of latents, cut so that every transition, the last of an episode above all, is drawn equally often.

An off-by-one here loses the terminal step of every episode while all losses look better than before: the tests of this
file count transitions.

# E episodes, M observations in all, B rows, F frames of a clip, N tokens, C channels, A action size
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Clip(NamedTuple):
    """A batch of clips. Frame f was reached from frame f - 1 by action[f], which paid reward[f]."""

    latent: Tensor  # (B, F, N, C)
    first: Tensor  # (B, N, C) the latent before frame 0 (frame 0 itself where nothing was before)
    action: Tensor  # (B, F, A) in [-1, 1]; zero for an episode's first observation
    reward: Tensor  # (B, F)
    terminated: Tensor  # (B, F) bool
    valid: Tensor  # (B, F) bool, an observation of the episode
    target: Tensor  # (B, F) bool, reached by an action (all valid ones but an episode's first)


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentEpisodes:
    """Episodes laid end to end: observation tensors, with action, reward and flag *that led to* each of them."""

    latent: Tensor  # (M, N, C)
    action: Tensor  # (M, A)
    reward: Tensor  # (M,)
    terminated: Tensor  # (M,) bool
    start: Tensor  # (E,) index of each episode's first observation
    length: Tensor  # (E,) observations of each episode, >= 2

    @staticmethod
    def lay(
        latents: Sequence[Tensor], actions: Sequence[Tensor], rewards: Sequence[Tensor], terminated: Sequence[bool]
    ) -> LatentEpisodes:
        """From per-episode (T + 1, N, C), (T, A), (T,) and the flag of the last transition."""
        length = torch.tensor([len(z) for z in latents])
        flags = [torch.zeros(len(z), dtype=torch.bool) for z in latents]
        for flag, value in zip(flags, terminated, strict=True):
            flag[-1] = value
        return LatentEpisodes(
            latent=torch.cat(list(latents)),
            action=torch.cat([torch.cat((torch.zeros_like(a[:1]), a)) for a in actions]),
            reward=torch.cat([torch.cat((torch.zeros_like(r[:1]), r)) for r in rewards]),
            terminated=torch.cat(flags),
            start=length.cumsum(0) - length,
            length=length,
        )

    def __len__(self) -> int:
        """E."""
        return len(self.length)

    def sample(self, rows: int, frames: int, generator: torch.Generator) -> Clip:
        """`rows` clips of `frames` frames, drawn evenly from all that hold a transition.

        Some hang over an episode's ends: each transition then lies in exactly `frames` of them, the last one too.
        """
        places = self.length - 1 + frames - 1
        edges = places.cumsum(0)
        drawn = torch.randint(int(edges[-1]), (rows,), generator=generator)
        episode = torch.searchsorted(edges, drawn, right=True)
        begin = drawn - (edges - places)[episode] + 2 - frames  # 2 - F .. T within the episode
        return self.cut(episode, begin, frames)

    def cut(self, episode: Tensor, begin: Tensor, frames: int) -> Clip:
        """The clips that begin at frame `begin` (B,) of `episode` (B,); frames outside the episode are not valid."""
        frame = begin.unsqueeze(1) + torch.arange(frames)
        length = self.length[episode].unsqueeze(1)
        valid = (frame >= 0) & (frame < length)
        target = valid & (frame >= 1)
        at = self.start[episode].unsqueeze(1) + frame.clamp(min=0).minimum(length - 1)
        before = self.start[episode] + (begin - 1).clamp(min=0).minimum(length[:, 0] - 1)
        return Clip(
            latent=self.latent[at],
            first=self.latent[before],
            action=self.action[at] * target.unsqueeze(-1),
            reward=self.reward[at],
            terminated=self.terminated[at] & target,
            valid=valid,
            target=target,
        )
