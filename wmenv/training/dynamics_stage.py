"""Encoding a recording, fitting dynamics and heads to its latents, and choosing the contexts that dreams begin from.

# E episodes, M observations, N tokens, C channels, K starts, W window
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data import Episode
from ..data.windows import LatentEpisodes
from ..objectives import forcing_loss, own_past, preset_forcing, whitener
from ..presets import Preset
from ..tokenizers import FrameVAE, StateTokenizer
from ..world_model import WorldModel
from .run import Progress, Stage, run_stage

SMALLEST_CHANGE = 0.3  # of the mean change of frame latents, below which a number counts as still
SMALLEST_STATE_CHANGE = 0.02  # spreads
WARM_SHARE = 0.4


@torch.no_grad()
def encode_episodes(model: WorldModel, episodes: list[Episode]) -> LatentEpisodes:
    """All observations of all episodes as latents, on the CPU."""
    latents = []
    for episode in episodes:
        obs = episode.state if isinstance(model.tokenizer, StateTokenizer) else episode.frames
        latents.append(model.tokenizer.encode(torch.from_numpy(obs).to(model.device).unsqueeze(0))[0].float().cpu())
    return LatentEpisodes.lay(
        latents,
        [model.unit_action(torch.from_numpy(e.action).to(model.device)).cpu() for e in episodes],
        [torch.from_numpy(e.reward).float() for e in episodes],
        [e.terminated for e in episodes],
    )


def fit_dynamics(
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
    """Train the dynamics and heads of `model` in place and store its start contexts."""
    tokenizer = model.tokenizer
    if isinstance(tokenizer, StateTokenizer):
        # warm or not: a better policy goes where the first recording's spreads would put it out of bounds
        tokenizer.fit(torch.cat([torch.from_numpy(e.state) for e in episodes]).to(model.device))
    data = encode_episodes(model, episodes)
    if isinstance(tokenizer, StateTokenizer) or not warm:
        _set_change_scales(model, data)
    if isinstance(tokenizer, FrameVAE):
        tokenizer.manifold.fit(data.latent.to(model.device), model.dynamics.delta_scale)
    _set_reward_scale(model, data)
    module = nn.ModuleDict({"dynamics": model.dynamics, "heads": model.heads, "tokenizer": tokenizer})
    tokenizer.requires_grad_(False)
    config, own_frames = preset_forcing(sizes), sizes.own_frames if isinstance(tokenizer, FrameVAE) else 0
    matrix = change_emphasis(model, data)

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        clip = data.sample(sizes.rows, sizes.frames, generator)
        clip = type(clip)(*(field.to(model.device) for field in clip))
        past = None
        if own_frames:
            past = own_past(model.dynamics, tokenizer.project, clip, own_frames, generator)
        return forcing_loss(model.dynamics, model.heads, clip, config, generator, past, matrix)

    steps = round(sizes.steps * (WARM_SHARE if warm else 1.0))
    stage = Stage(name="dynamics", module=module, loss=loss, steps=steps, rate=sizes.rate * (0.7 if warm else 1.0))
    run_stage(stage, folder, seed=seed, identity=identity, progress=progress)
    model.set_starts(*choose_starts(data, model.num_starts, model.context, seed))


def change_emphasis(model: WorldModel, data: LatentEpisodes) -> Tensor:
    """What errors of the model's dynamics are weighed by, see `objectives.whitener`; on the model's device."""
    return whitener(_changes(data).to(model.device) / model.dynamics.delta_scale)


def _set_change_scales(model: WorldModel, data: LatentEpisodes) -> None:
    change = _changes(data)
    spread = change.square().mean(0).sqrt()
    floor = SMALLEST_CHANGE * spread.square().mean().sqrt()
    if isinstance(model.tokenizer, StateTokenizer):
        floor = torch.tensor(SMALLEST_STATE_CHANGE)
    model.dynamics.delta_scale.copy_(spread.maximum(floor))
    model.heads.change_scale.copy_(model.dynamics.delta_scale)


def _set_reward_scale(model: WorldModel, data: LatentEpisodes) -> None:
    reward = data.reward[_reached(data)]
    scale = reward.std().clamp(min=1e-3) if len(reward) > 1 else torch.tensor(1.0)
    model.heads.rescale_reward(reward.mean(), scale)


def _changes(data: LatentEpisodes) -> Tensor:
    """(M, N, C), the recorded changes from one frame to the next."""
    return (data.latent[1:] - data.latent[:-1])[_reached(data)[1:]]


def _reached(data: LatentEpisodes) -> Tensor:
    """(M,) bool, the observations that an action led to."""
    inside = torch.ones(len(data.latent), dtype=torch.bool)
    inside[data.start] = False
    return inside


def choose_starts(data: LatentEpisodes, count: int, length: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`count` contexts that end at observations with a future: a quarter at resets, the rest from anywhere.

    Returns:
        latents (K, P, N, C), actions (K, P, A), valid (K, P), initial (K,) for contexts of `length` P; before an
        episode began, the first latent is repeated and marked as not valid.
    """
    generator = torch.Generator().manual_seed(seed)
    episodes = len(data.length)
    resets = torch.randperm(episodes, generator=generator)[: max(1, count // 4)]
    steps = data.length - 1
    edges = steps.cumsum(0)
    drawn = torch.randperm(int(edges[-1]), generator=generator)[: count - len(resets)]
    episode = torch.searchsorted(edges, drawn, right=True)
    frame = drawn - (edges - steps)[episode]
    episode, frame = torch.cat((resets, episode))[:count], torch.cat((torch.zeros_like(resets), frame))[:count]
    clip = data.cut(episode, frame - length + 1, length)
    return clip.latent, clip.action, clip.valid, frame == 0
