"""Which tokenizer a model's configuration describes."""

from __future__ import annotations

from ..config import WorldModelConfig
from ..errors import CheckpointError
from .frame_vae import FrameVAE, FrameVAEConfig
from .state import StateTokenizer, unit_vectors


def build_tokenizer(config: WorldModelConfig) -> FrameVAE | StateTokenizer:
    """The tokenizer that `config` describes, not yet trained.

    Raises:
        CheckpointError: a model of frames has no size.
    """
    if config.modality == "state":
        return StateTokenizer(config.state_slots, config.num_tokens, config.token_dim, unit_vectors(config.state_names))
    if config.image_size is None:
        raise CheckpointError("image_size: expected pixels for a frame model, got None; restore config.json")
    vae = FrameVAEConfig(
        image_size=config.image_size, token_dim=config.token_dim, width=config.vae_width, grid=config.grid
    )
    return FrameVAE(vae)
