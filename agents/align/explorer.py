"""The noise with which a model's dreams explore, as the options describe it."""

from __future__ import annotations

import torch

from wmenv import WorldModel

from .chain import BoundedNoise, FlowNoise
from .config import AlignConfig


def explorer(model: WorldModel, config: AlignConfig, error: float, seed: int) -> BoundedNoise | FlowNoise:
    """Untrained: bounded noise is of the size in the middle of its bounds, on a scale of ratios.

    Args:
        model: Whose dreams explore.
        config: Holds the bounds, as shares of `error`.
        error: The model's own, in usual changes of a latent: who errs by little and strays by much sees only that.
        seed: Of the network that says how far.
    """
    low, high = config.noise_low * error, config.noise_high * error
    if config.exploration == "flow":
        return FlowNoise(least=low)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        noise = BoundedNoise(model.latent_shape, model.config.action_dim, low, high)
    return noise.to(model.device)
