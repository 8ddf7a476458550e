"""Fitting the frame tokenizer to recorded frames.

# M frames in all, B rows, T frames of a clip
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Episode
from ..objectives.reconstruction import LatentPredictor, ReconstructionConfig, reconstruction_loss
from ..presets import Preset
from ..tokenizers.frame_vae import FrameVAE, to_unit
from ..world_model import WorldModel
from .run import Progress, Stage, run_stage

BACKGROUND_FRAMES = 500
FAINT_ROWS = 128  # clips that say what is too faint to be shown
WARM_SHARE = 0.25  # of the steps, when a model is trained on


class FrameClips:
    """Clips of consecutive frames; before an episode's first frame the first frame is repeated."""

    def __init__(self, model: WorldModel, episodes: list[Episode]) -> None:
        self.device = model.device
        self.frames = torch.from_numpy(np.concatenate([e.frames for e in episodes if e.frames is not None]))
        actions = [model.unit_action(torch.from_numpy(e.action).to(self.device)).cpu() for e in episodes]
        self.actions = torch.cat([torch.cat((torch.zeros_like(a[:1]), a)) for a in actions])
        self.length = torch.tensor([len(e.action) + 1 for e in episodes])
        self.start = self.length.cumsum(0) - self.length

    def sample(self, rows: int, frames: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(B, T, 3, S, S) in [0, 1] and the actions (B, T, A) that led to them; every frame is as often the last."""
        last = torch.randint(len(self.frames), (rows,), generator=generator)
        episode = torch.searchsorted(self.start, last, right=True) - 1
        at = last.unsqueeze(1) + torch.arange(1 - frames, 1)
        first = self.start[episode].unsqueeze(1)
        action = self.actions[at.clamp(min=first)] * (at > first).unsqueeze(-1)
        return to_unit(self.frames[at.maximum(first)].to(self.device)), action.to(self.device)


def fit_frames(
    model: WorldModel,
    episodes: list[Episode],
    sizes: Preset,
    folder: Path,
    *,
    seed: int,
    identity: dict[str, Any],
    progress: Progress | None,
    warm: bool,
) -> None:
    """Train the tokenizer of `model` in place and set the scale of its latents.

    A warm one learns what is new to it and keeps its latents: a policy and dynamics have learned to read them. Left
    free, they moved by as much as they are spread in one round of the loop, and a policy that had balanced a pendulum
    for 1,000 steps fell after 82 (a trial, not kept).
    """
    vae = model.tokenizer
    assert isinstance(vae, FrameVAE)
    clips = FrameClips(model, episodes)
    generator = torch.Generator().manual_seed(seed)
    if not warm:
        chosen = torch.randperm(len(clips.frames), generator=generator)[:BACKGROUND_FRAMES]
        vae.background.copy_(to_unit(clips.frames[chosen].median(0).values))
    predictor = LatentPredictor(vae.num_tokens, vae.token_dim, model.config.action_dim).to(model.device)
    given = copy.deepcopy(vae).requires_grad_(False) if warm else None
    module = nn.ModuleDict({"vae": vae, "predictor": predictor})
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs do not know it
    config = ReconstructionConfig()

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        frames, action = clips.sample(sizes.vae_rows, sizes.vae_frames, generator)
        return reconstruction_loss(vae, predictor, frames, action, config, generator, given)

    steps = round(sizes.vae_steps * (WARM_SHARE if warm else 1.0))
    stage = Stage(name="tokenizer", module=module, loss=loss, steps=steps, rate=sizes.vae_rate * (0.5 if warm else 1.0))
    run_stage(stage, folder, seed=seed, identity=identity, progress=progress)
    if not warm:
        _set_scale(vae, clips)
    vae.fit_faint(clips.sample(FAINT_ROWS, sizes.vae_frames, torch.Generator().manual_seed(seed))[0])


@torch.no_grad()
def _set_scale(vae: FrameVAE, clips: FrameClips) -> None:
    """Centre each latent number and divide all by one spread, so that numbers that hold little stay small."""
    sample = clips.frames[:: max(1, len(clips.frames) // 2048)].to(clips.device)
    raw = vae.encode_raw(to_unit(sample).unsqueeze(1))[:, 0].float()
    vae.latent_mean.copy_(raw.mean(0))
    vae.latent_scale.copy_((raw - raw.mean(0)).square().mean().sqrt().clamp(min=1e-3).expand_as(vae.latent_scale))
