"""What the dynamics and the heads are trained on: flow matching with a noise level of its own for every frame.

# B rows, F frames, N tokens, C channels
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ..data.windows import Clip
from ..dynamics import Dynamics
from ..heads import TransitionHeads
from ..presets import Preset


@dataclass(frozen=True, kw_only=True, slots=True)
class ForcingConfig:
    """How noise is drawn.

    Attributes:
        full_noise: share of targets that start from pure noise, the level that a one-step sampler meets.
        context_noise: largest usual noise level of a context frame; teaches the model to go on from its own small
            errors (GameNGen, arXiv 2408.14837, section 3.2.1).
        free_context: share of contexts with a level from all of [0, 1] (diffusion forcing, arXiv 2407.01392).
        hidden_noise: largest spread, in usual changes, of noise on context frames that the model is not told of. Told
            that a context is clean, a model believes its own dreams; so it learns to bring them back to what real
            frames look like, as graph network simulators do (arXiv 2002.09405, section 4.3).
    """

    full_noise: float
    context_noise: float
    free_context: float
    hidden_noise: float = 0.0


def preset_forcing(sizes: Preset, modality: str) -> ForcingConfig:
    """How noise is drawn for a model of `modality` ("frames" or "state") of these sizes."""
    return ForcingConfig(
        full_noise=sizes.full_noise,
        context_noise=sizes.context_noise,
        free_context=sizes.free_context,
        hidden_noise=sizes.hidden_noise_frames if modality == "frames" else 0.0,
    )


def draw_levels(shape: tuple[int, int], config: ForcingConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(context levels, target levels), each `shape` = (B, F), independent per frame."""

    def uniform() -> Tensor:
        return torch.rand(shape, generator=generator)

    target = torch.where(uniform() < config.full_noise, torch.ones(shape), uniform())
    # half of the clips have clean contexts: that is what a dream begins with
    usual = uniform() * config.context_noise * torch.rand(shape[0], 1, generator=generator).mul(2).sub(1).clamp(min=0)
    context = torch.where(uniform() < config.free_context, uniform(), usual)
    return context, target


def noisy_context(clip: Clip, level: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    """Context latents (B, F, N, C) whose change since the frame before is noised to `level` (B, F)."""
    base = torch.cat((clip.first.unsqueeze(1), clip.latent[:, :-1]), dim=1)
    noise = torch.randn(clip.latent.shape, generator=generator).to(clip.latent.device) * scale
    return clip.latent + level[..., None, None] * (noise - (clip.latent - base))


def hidden_spread(shape: tuple[int, int], config: ForcingConfig, generator: torch.Generator) -> Tensor:
    """Spread (B, F) of the noise that the model is not told of, in usual changes; a quarter of the clips have none."""
    row = torch.rand(shape[0], 1, generator=generator).mul(2).sub(0.5).clamp(0, 1)
    return config.hidden_noise * row * torch.rand(shape, generator=generator)


def forcing_loss(
    dynamics: Dynamics, heads: TransitionHeads, clip: Clip, config: ForcingConfig, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """The summed loss and its parts.

    'dynamics' is the squared error of y in units of the usual change (1.0 = copying the last frame), 'reward' the
    squared error in units of the reward's spread, 'termination' a cross-entropy.
    """
    device = clip.latent.device  # the generator's numbers are drawn on the CPU, so that they are the same everywhere
    context_level, level = (drawn.to(device) for drawn in draw_levels(clip.valid.shape, config, generator))
    context = noisy_context(clip, context_level, dynamics.delta_scale, generator)
    if config.hidden_noise:
        spread = hidden_spread(clip.valid.shape, config, generator).to(device)[..., None, None]
        hidden = torch.randn(context.shape, generator=generator).to(device)
        context = context + spread * dynamics.delta_scale * hidden
    base = torch.cat((clip.first.unsqueeze(1), context[:, :-1]), dim=1)
    change = (clip.latent - base) / dynamics.delta_scale
    tau = level[..., None, None]
    noised = (1 - tau) * change + tau * torch.randn(change.shape, generator=generator).to(device)
    answer = dynamics(context, context_level, noised, level, clip.action, clip.valid, clip.first)
    weight = clip.target.float()
    count = weight.sum()
    error = (answer - change).square().mean((-2, -1))
    dynamics_loss = (error * weight).sum() / count

    reward, logit = heads(base, context, clip.action)
    wanted = (clip.reward - heads.reward_mean) / heads.reward_scale
    near = weight * (context_level <= config.context_noise)  # a frame that is mostly noise has no reward to learn
    reward_loss = ((reward - wanted).square() * near).sum() / near.sum()
    termination = binary_cross_entropy_with_logits(logit, clip.terminated.float(), reduction="none")
    termination_loss = (termination * near).sum() / near.sum()
    parts = {"dynamics": dynamics_loss, "reward": reward_loss, "termination": termination_loss}
    return dynamics_loss + reward_loss + termination_loss, parts
