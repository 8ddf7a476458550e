"""Observations to latent tokens and back."""

from .build import build_tokenizer
from .change import change_of_latents
from .frame_vae import FrameVAE, FrameVAEConfig
from .state import StateTokenizer, group_slots, unit_vectors
from .tokenizer import Tokenizer

__all__ = [
    "FrameVAE",
    "FrameVAEConfig",
    "StateTokenizer",
    "Tokenizer",
    "build_tokenizer",
    "change_of_latents",
    "group_slots",
    "unit_vectors",
]
