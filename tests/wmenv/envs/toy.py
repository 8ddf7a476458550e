"""An analytic world model with the interface of the learned one, so that every property has an exact oracle.

Per row: z' = 0.9 z + B a + 0.05 (mean of the cached past) + SIGMA noise, reward = z'_0 - 0.1 |a|^2, termination where
|z'_0| passes the bound. All sums run over small last axes of a row, so floats do not depend on the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from wmenv.types import LATENT_BOUND, DreamState, EncoderState, StepOutput

SIGMA = 0.1
WINDOW = 3


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    task: str = "wmenv/Toy-v0"
    modality: str = "state"
    image_size: int | None = None
    history: int = 2
    num_tokens: int = 2
    token_dim: int = 3
    denoise_steps: int = 2
    max_episode_steps: int | None = 20
    fps: float = 25.0
    action_low: tuple[float, ...] = (-1.0, -2.0)
    action_high: tuple[float, ...] = (1.0, 2.0)

    @property
    def state_dim(self) -> int:
        return self.num_tokens * self.token_dim

    @property
    def action_dim(self) -> int:
        return len(self.action_low)

    @property
    def state_names(self) -> tuple[str, ...]:
        return tuple(f"z{i}" for i in range(self.state_dim))

    @property
    def state_low(self) -> tuple[float, ...]:
        return (-LATENT_BOUND,) * self.state_dim

    @property
    def state_high(self) -> tuple[float, ...]:
        return (LATENT_BOUND,) * self.state_dim


class ToyModel:
    """See the module. `bound` ends episodes, `sigma` scales the noise, `gain` the action."""

    def __init__(
        self,
        modality: str = "state",
        *,
        bound: float = 1.0,
        sigma: float = SIGMA,
        gain: float = 0.3,
        num_starts: int = 7,
        **config: Any,
    ) -> None:
        size = 4 if modality == "frames" else None
        self.config = replace(ToyConfig(), modality=modality, image_size=size, **config)
        self.bound, self.sigma, self.num_starts = bound, sigma, num_starts
        c = self.config
        generator = torch.Generator().manual_seed(0)
        self.starts = 0.5 * torch.randn(num_starts, c.history, c.num_tokens, c.token_dim, generator=generator)
        self.input = gain * torch.randn(c.num_tokens, c.token_dim, c.action_dim, generator=generator).abs()
        self.start_is_initial = torch.arange(num_starts) % 2 == 0

    def start(self, index: Tensor) -> DreamState:
        latents, b, c = self.starts[index], len(index), self.config
        keys = torch.zeros(b, 1, WINDOW, c.num_tokens, c.token_dim)
        keys[:, 0, 0] = latents[:, -1]
        cached = torch.zeros(b, WINDOW, dtype=torch.bool)
        cached[:, 0] = True
        return DreamState(keys, keys.clone(), cached, torch.ones(b, dtype=torch.long), latents)

    def step(self, state: DreamState, action: Tensor, noise: Tensor) -> StepOutput:
        mask = state.cached[:, :, None, None].float()
        past = (state.keys[:, 0] * mask).sum(1) / mask.sum(1)
        push = (self.input * action[:, None, None, :]).sum(-1)
        z = 0.9 * state.latents[:, -1] + push + 0.05 * past + self.sigma * noise.mean(1)
        rows, slot = torch.arange(len(z)), state.position % WINDOW
        keys, cached = state.keys.clone(), state.cached.clone()
        keys[rows, 0, slot], cached[rows, slot] = z, True
        latents = torch.cat((state.latents[:, 1:], z[:, None]), dim=1)
        reward = z[:, 0, 0] - 0.1 * (action**2).sum(-1)
        ended = (z[:, 0, 0].abs() > self.bound).float()
        return StepOutput(DreamState(keys, state.values, cached, state.position + 1, latents), reward, ended)

    def latent_observation(self, state: DreamState) -> Tensor:
        return state.latents.flatten(1).clamp(-LATENT_BOUND, LATENT_BOUND)

    def decode(self, state: DreamState) -> Tensor:
        z = state.latents[:, -1].flatten(1)
        return paint(z, self.config.image_size) if self.config.modality == "frames" else z

    # The real side: an observation is the latent itself (or its picture), the memory a fading sum of what was seen.
    def encoder_reset(self, obs: Tensor) -> EncoderState:
        z = self._read(obs)
        return EncoderState(z.flatten(1), z[:, None].repeat(1, self.config.history, 1, 1))

    def encoder_step(self, state: EncoderState, obs: Tensor) -> EncoderState:
        z = self._read(obs)
        memory = 0.5 * state.memory + z.flatten(1)
        latent = z + 0.1 * memory.view_as(z)
        return EncoderState(memory, torch.cat((state.latents[:, 1:], latent[:, None]), dim=1))

    def encoder_observation(self, state: EncoderState) -> Tensor:
        return state.latents.flatten(1).clamp(-LATENT_BOUND, LATENT_BOUND)

    def _read(self, obs: Tensor) -> Tensor:
        c = self.config
        if c.modality == "frames":
            assert obs.dtype == torch.uint8
            obs = (obs.flatten(1)[:, : c.state_dim].float() - 128) / 16
        assert obs.dtype == torch.float32
        return obs.reshape(-1, c.num_tokens, c.token_dim)


def paint(z: Tensor, size: int) -> Tensor:
    """A picture whose first channels are the latents: 16 grey levels for one unit."""
    pixels = torch.zeros(len(z), size * size * 3, dtype=torch.uint8)
    pixels[:, : z.shape[1]] = (z * 16 + 128).round().clamp(0, 255).to(torch.uint8)
    return pixels.view(-1, size, size, 3)
