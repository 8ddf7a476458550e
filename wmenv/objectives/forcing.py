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
from .emphasis import whitened_error

LOST = 0.4  # usual changes (root mean square over a frame) beyond which a dream has left what was recorded


@dataclass(frozen=True, kw_only=True, slots=True)
class ForcingConfig:
    """How noise is drawn.

    Attributes:
        full_noise: share of targets that start from pure noise, the level that a one-step sampler meets.
        context_noise: largest usual noise level of a context frame; teaches the model to go on from its own small
            errors (GameNGen, arXiv 2408.14837, section 3.2.1).
        free_context: share of contexts with a level from all of [0, 1] (diffusion forcing, arXiv 2407.01392).
    """

    full_noise: float
    context_noise: float
    free_context: float


def preset_forcing(sizes: Preset) -> ForcingConfig:
    """How noise is drawn for a model of these sizes."""
    return ForcingConfig(
        full_noise=sizes.full_noise,
        context_noise=sizes.context_noise,
        free_context=sizes.free_context,
    )


def draw_levels(shape: tuple[int, ...], config: ForcingConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(context levels, target levels), each `shape` = (B, F), independent per frame."""

    def uniform() -> Tensor:
        return torch.rand(shape, generator=generator)

    target = torch.where(uniform() < config.full_noise, torch.ones(shape), uniform())
    # half of the clips have clean contexts: that is what a dream begins with
    usual = uniform() * config.context_noise * torch.rand(shape[0], 1, generator=generator).mul(2).sub(1).clamp(min=0)
    context = torch.where(uniform() < config.free_context, uniform(), usual)
    return context, target


def noisy_context(clip: Clip, past: Tensor, level: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    """Contexts (B, F, N, C): `past`, whose change since the frame before is noised to `level` (B, F)."""
    base = torch.cat((clip.first.unsqueeze(1), past[:, :-1]), dim=1)
    noise = torch.randn(past.shape, generator=generator).to(past.device) * scale
    return past + level[..., None, None] * (noise - (past - base))


def forcing_loss(
    dynamics: Dynamics,
    heads: TransitionHeads,
    clip: Clip,
    config: ForcingConfig,
    generator: torch.Generator,
    past: Tensor | None = None,
    matrix: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The summed loss and its parts.

    'dynamics' is the squared error of y in usual changes, weighed by `matrix` (1.0: copying the last frame), 'reward'
    the squared error in units of the reward's spread, 'termination' a cross-entropy.

    Args:
        dynamics: predicts how a frame's latent differs from the one before.
        heads: read reward and termination.
        clip: what was recorded.
        config: how noise is drawn.
        generator: of all of it; on the CPU, so that the numbers are the same everywhere.
        past: (B, F, N, C) what frames are predicted from, where that is not the recording, see `own_past`. Then the
            network learns the way from its own frames to the recorded ones, until they are too far apart; the heads
            learn from recorded frames alone.
        matrix: (N * C, N * C) of `whitener`; None: errors in all directions count alike.
    """
    device = clip.latent.device
    own, past = past, clip.latent if past is None else past
    context_level, level = (drawn.to(device) for drawn in draw_levels(clip.valid.shape, config, generator))
    context = noisy_context(clip, past, context_level, dynamics.delta_scale, generator)
    base = torch.cat((clip.first.unsqueeze(1), context[:, :-1]), dim=1)
    change = (clip.latent - base) / dynamics.delta_scale
    tau = level[..., None, None]
    noised = (1 - tau) * change + tau * torch.randn(change.shape, generator=generator).to(device)
    answer = dynamics(context, context_level, noised, level, clip.action, clip.valid, clip.first)
    weight = clip.target.float()
    recorded = weight
    if own is not None:
        off = ((own - clip.latent) / dynamics.delta_scale).square().mean((-2, -1)).sqrt()
        off = torch.cat((torch.zeros_like(off[:, :1]), off[:, :-1]), dim=1).cummax(1).values  # of the frames before
        weight, recorded = weight * (off < LOST), weight * (own == clip.latent).flatten(2).all(2)
    error = answer - change
    error = error.square().mean((-2, -1)) if matrix is None else whitened_error(error, matrix)
    dynamics_loss = (error * weight).sum() / weight.sum()

    reward, logit = heads(base, context, clip.action)
    wanted = (clip.reward - heads.reward_mean) / heads.reward_scale
    near = recorded * (context_level <= config.context_noise)  # a frame that is mostly noise has no reward to learn
    reward_loss = ((reward - wanted).square() * near).sum() / near.sum()
    termination = binary_cross_entropy_with_logits(logit, clip.terminated.float(), reduction="none")
    termination_loss = (termination * near).sum() / near.sum()
    parts = {"dynamics": dynamics_loss, "reward": reward_loss, "termination": termination_loss}
    return dynamics_loss + reward_loss + termination_loss, parts
