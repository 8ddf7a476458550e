"""The noise with which a model's dreams explore, as the options describe it."""

from __future__ import annotations

import torch

from wmenv import WorldModel

from .chain import BoundedNoise, FlowNoise
from .config import AlignConfig


def explorer(model: WorldModel, config: AlignConfig, seed: int) -> BoundedNoise | FlowNoise:
    """Untrained: bounded noise is of the size in the middle of its bounds, on a scale of ratios."""
    if config.exploration == "flow":
        return FlowNoise(least=config.noise_low)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        noise = BoundedNoise(model.latent_shape, model.config.action_dim, config.noise_low, config.noise_high)
    return noise.to(model.device)
