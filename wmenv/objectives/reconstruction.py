"""What the frame tokenizer is trained on: show what moves, stay small, and be easy to predict.

A latent that is easy to predict matters more than the last decibel: a plain autoencoder scatters neighbouring states
over its latent space, and the dynamics then cannot follow. So a small network guesses the next latent from the last two
and the action, and its error is part of the loss.

# B rows, T frames, S image size, N tokens, C channels, A action size
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from ..tokenizers.frame_vae import FrameVAE


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconstructionConfig:
    """Weights of the parts.

    Attributes:
        posterior_std: spread of the Gaussian posterior, in raw latent units.
        kl: weight of the pull towards zero mean.
        prediction: weight of the squared error of the guessed next latent. Raw latents have an absolute scale, that of
            the posterior's noise, so this is a price on information that cannot be foreseen.
        anchor: weight of the squared distance to the latents of a given tokenizer, in raw units, where there is one.
        foreground: share of the pixel loss that belongs to pixels that differ from the background.
        threshold: difference to the background, of 1, from which a pixel is foreground.
    """

    posterior_std: float = 0.1
    kl: float = 1e-4
    prediction: float = 0.3
    anchor: float = 10.0
    foreground: float = 0.8
    threshold: float = 0.06


class LatentPredictor(nn.Module):
    """Guess the next raw latent from the last two and the action; only there to shape the latents."""

    def __init__(self, num_tokens: int, token_dim: int, action_dim: int, width: int = 256) -> None:
        super().__init__()
        size = num_tokens * token_dim
        self.net = nn.Sequential(
            nn.Linear(2 * size + action_dim, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, size),
        )

    def forward(self, before: Tensor, now: Tensor, action: Tensor) -> Tensor:
        """(..., N, C), (..., N, C), (..., A) -> (..., N, C)."""
        x = torch.cat((before.flatten(-2), now.flatten(-2), action), dim=-1)
        return now + self.net(x).view_as(now)


def foreground_weight(frames: Tensor, background: Tensor, config: ReconstructionConfig) -> Tensor:
    """Weight of each pixel (B, T, 1, S, S), mean about 1: foreground pixels share `foreground` of the whole."""
    differs = ((frames - background).abs().amax(2) > config.threshold).float()
    moving = max_pool2d(differs, 3, stride=1, padding=1).unsqueeze(2) > 0
    share = moving.float().mean().clamp(min=0.005)
    return torch.where(moving, config.foreground / share, torch.full_like(share, 1 - config.foreground))


def reconstruction_loss(
    vae: FrameVAE,
    predictor: LatentPredictor,
    frames: Tensor,
    action: Tensor,
    config: ReconstructionConfig,
    generator: torch.Generator,
    given: FrameVAE | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The summed loss and its parts for frames (B, T, 3, S, S) in [0, 1] and actions (B, T, A) that led to them.

    `given` is a tokenizer whose latents are to be kept: what was learned of them, policies above all, would be lost.
    """
    latent = vae.encode_raw(frames)
    sample = latent + config.posterior_std * torch.randn(latent.shape, generator=generator).to(latent.device)
    shown = vae.decode_raw(sample).float()
    weight = foreground_weight(frames, vae.background, config)
    pixels = (weight * (shown - frames).square()).mean()
    latent = latent.float()
    kl = 0.5 * latent.square().mean()
    guess = predictor(latent[:, :-2], latent[:, 1:-1], action[:, 2:])
    prediction = (guess - latent[:, 2:]).square().mean()
    loss = pixels + config.kl * kl + config.prediction * prediction
    parts = {"pixels": pixels, "kl": kl, "prediction": prediction}
    if given is not None:
        with torch.no_grad():
            wanted = given.encode_raw(frames).float()
        parts["anchor"] = (latent - wanted).square().mean()
        loss = loss + config.anchor * parts["anchor"]
    return loss, parts
