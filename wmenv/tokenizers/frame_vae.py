"""A causal 3D variational autoencoder: frames to a few latent tokens, and back.

Five things make it work on few frames and few minutes. It reads and writes the *difference to the background* (the
median frame of the recording), so that its weights go into what moves. Its latents are noised by a fixed amount while
training (a Gaussian posterior of constant spread) and pulled to unit size, so that near latents decode to near frames.
What it sees and paints are points with places (see points.py), so that it is right about goals it never saw. Its
convolutions over time look at the past only, so that it runs one frame at a time in a control loop. What it paints
fainter than whatever makes recorded frames clearest is not shown: a decoder so small paints a little of everything
everywhere, and a robot's angle was read 24 mrad wrong of such frames (docs/design.md).

One latent per frame: a control loop needs one at each step, so there is no compression in time here.

# B rows, T frames, S image size, N tokens, C channels, G grid side, M memory
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import InputError
from .causal_conv import CausalConv3d
from .manifold import LatentManifold
from .points import PointDecoder, SpatialSoftmax

FAINTEST = tuple(shade / 255 for shade in range(0, 72, 8))  # differences to the background that may count as none


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameVAEConfig:
    """Sizes of the autoencoder.

    Attributes:
        image_size: S, a multiple of 32.
        token_dim: C, channels per token.
        width: channels at a quarter of the resolution; twice as many at each halving.
        grid: G; N = G * G tokens, which are slots for numbers, not places in the picture. S / (16 * G) must be a power
            of two.
    """

    image_size: int
    token_dim: int
    width: int
    grid: int = 2

    def __post_init__(self) -> None:
        halvings = self.image_size / (16 * self.grid)
        if halvings < 1 or halvings != int(halvings) or int(halvings) & (int(halvings) - 1):
            raise InputError(
                f"image_size: expected 16 * grid ({self.grid}) * a power of two, got {self.image_size}; use 64"
            )


def _act(x: Tensor) -> Tensor:
    return nn.functional.silu(x)


class FrameVAE(nn.Module):
    """Causal 3D VAE with KL-regularised continuous latents. See the module's docstring.

    Source: causal 3D VAEs of MAGVIT-v2 (arXiv 2310.05737) and Wan (arXiv 2503.20314), at a thousandth of their size.
    """

    def __init__(self, config: FrameVAEConfig) -> None:
        super().__init__()
        self.config = config
        w, s = config.width, config.image_size
        side = s // 16
        self.num_tokens, self.token_dim = config.grid**2, config.token_dim
        self.grid: tuple[int, int] = (config.grid, config.grid)
        self.down1 = nn.Conv2d(3, w, 8, stride=4, padding=2)  # S / 4
        self.down2 = nn.Conv2d(w, 2 * w, 4, stride=2, padding=1)  # S / 8
        self.time1 = CausalConv3d(2 * w, 2 * w)
        self.down3 = nn.Conv2d(2 * w, 4 * w, 4, stride=2, padding=1)  # S / 16
        self.time2 = CausalConv3d(4 * w, 4 * w)
        self.points = SpatialSoftmax(w, 2 * w)
        self.to_latent = nn.Linear(4 * w * side * side + 4 * w, self.num_tokens * config.token_dim)
        self.decoder = PointDecoder(2 * self.num_tokens * config.token_dim, 2 * w, 2 * w, s)
        self.register_buffer("background", torch.full((3, s, s), 0.5))
        self.register_buffer("faint", torch.zeros(()))
        self.register_buffer("latent_mean", torch.zeros(self.num_tokens, self.token_dim))
        self.register_buffer("latent_scale", torch.ones(self.num_tokens, self.token_dim))
        self.manifold = LatentManifold(self.num_tokens, self.token_dim)
        self.background: Tensor
        self.faint: Tensor  # of 1; a pixel that differs from the background by less is background
        self.latent_mean: Tensor
        self.latent_scale: Tensor

    # ---- offline, over whole clips

    def encode_raw(self, frames: Tensor) -> Tensor:
        """Frames (B, T, 3, S, S) in [0, 1] -> latents (B, T, N, C) before normalisation."""
        b, t = frames.shape[:2]
        x, points = self._per_frame(frames.flatten(0, 1))
        x = _act(self.time1(x.unflatten(0, (b, t)))).flatten(0, 1) + x
        x = _act(self.down3(x))
        x = _act(self.time2(x.unflatten(0, (b, t)))).flatten(0, 1) + x
        return self._raw_latent(x, points).unflatten(0, (b, t))

    def decode_raw(self, latents: Tensor) -> Tensor:
        """Raw latents (B, T, N, C) -> frames (B, T, 3, S, S); not clipped."""
        b, t = latents.shape[:2]
        before = torch.cat((latents[:, :1], latents[:, :-1]), dim=1)
        pair = torch.cat((latents, latents - before), dim=-1).flatten(2).flatten(0, 1)
        return self.decoder(pair).unflatten(0, (b, t)) + self.background

    def encode(self, obs: Tensor) -> Tensor:
        """uint8 frames (B, T, S, S, 3) -> unit-scale latents (B, T, N, C)."""
        return self._normalise(self.encode_raw(to_unit(obs)))

    def decode(self, latents: Tensor) -> Tensor:
        """Unit-scale latents (B, T, N, C) -> uint8 frames (B, T, S, S, 3)."""
        painted = self.decode_raw(latents * self.latent_scale + self.latent_mean).clamp(0, 1)
        return (self._without(painted, self.faint) * 255).round().to(torch.uint8).movedim(2, -1)

    @torch.no_grad()
    def fit_faint(self, frames: Tensor) -> None:
        """Sets what counts as background: whatever brings decoded frames nearest to those (B, T, 3, S, S) recorded.

        Source: hard thresholding, Donoho and Johnstone 1994, Ideal Spatial Adaptation by Wavelet Shrinkage.
        """
        painted = self.decode_raw(self.encode_raw(frames)).clamp(0, 1)
        errors = [float((self._without(painted, faint) - frames).square().mean()) for faint in FAINTEST]
        self.faint.fill_(FAINTEST[errors.index(min(errors))])

    def _without(self, painted: Tensor, faint: Tensor | float) -> Tensor:
        """(B, T, 3, S, S) with the background wherever no colour differs from it by `faint`."""
        near = (painted - self.background).abs().amax(2, keepdim=True) < faint
        return torch.where(near, self.background, painted)

    # ---- streaming, one frame at a time

    def project(self, latents: Tensor) -> Tensor:
        """The nearest latents (..., N, C) that recorded frames have, see manifold.py."""
        return self.manifold(latents)

    def stream_start(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """First uint8 frames (B, S, S, 3) -> (memory (B, M), unit-scale latent (B, N, C))."""
        x, points = self._per_frame(to_unit(obs))
        memory1, y = self.time1.start(x)
        x = _act(self.down3(_act(y) + x))
        memory2, y = self.time2.start(x)
        return self._pack(memory1, memory2), self._normalise(self._raw_latent(_act(y) + x, points))

    def stream_step(self, memory: Tensor, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Next uint8 frames (B, S, S, 3) -> (memory, unit-scale latent); the old memory stays as it was."""
        memory1, memory2 = self._unpack(memory)
        x, points = self._per_frame(to_unit(obs))
        memory1, y = self.time1.step(memory1, x)
        x = _act(self.down3(_act(y) + x))
        memory2, y = self.time2.step(memory2, x)
        return self._pack(memory1, memory2), self._normalise(self._raw_latent(_act(y) + x, points))

    # ---- shared

    def _per_frame(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        x = _act(self.down1(frames - self.background))
        return _act(self.down2(x)), self.points(x)

    def _raw_latent(self, x: Tensor, points: Tensor) -> Tensor:
        flat = torch.cat((x.flatten(1), points), dim=1)
        return self.to_latent(flat).unflatten(1, (self.num_tokens, self.token_dim))

    def _normalise(self, latents: Tensor) -> Tensor:
        return (latents.float() - self.latent_mean) / self.latent_scale

    def _pack(self, memory1: Tensor, memory2: Tensor) -> Tensor:
        return torch.cat((memory1.flatten(1), memory2.flatten(1)), dim=1).float()

    def _unpack(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        w, side = self.config.width, self.config.image_size // 8
        split = 2 * w * (self.time1.past - 1) * side * side
        return (
            memory[:, :split].unflatten(1, (-1, side, side)),
            memory[:, split:].unflatten(1, (-1, side // 2, side // 2)),
        )


def to_unit(frames: Tensor) -> Tensor:
    """uint8 (..., S, S, 3) -> float (..., 3, S, S) in [0, 1]."""
    return frames.movedim(-1, -3).float() / 255
