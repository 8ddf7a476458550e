"""How the latents of one tokenizer are had from another's: what lets a policy go on in the next round's model.

# N tokens, C channels
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .frame_vae import FrameVAE
from .state import StateTokenizer
from .tokenizer import Tokenizer


def change_of_latents(one: Tokenizer, other: Tokenizer) -> tuple[Tensor, Tensor]:
    """Gain and shift, each (N, C), on the CPU: z_other = gain * z_one + shift, for tokenizers of one kind and size.

    For states they are exact; the latents of a frame tokenizer that was trained on from another are held to what they
    were.

    Raises:
        InputError: they are frame tokenizers of separate trainings.
    """
    shape = one.num_tokens, one.token_dim
    gain, shift = torch.ones(shape), torch.zeros(shape)
    if isinstance(one, StateTokenizer) and isinstance(other, StateTokenizer):
        slots = one.slots.cpu()
        scale, mean = other.scale.cpu(), other.mean.cpu()
        gain.view(-1)[slots] = one.scale.cpu() / scale
        shift.view(-1)[slots] = (one.mean.cpu() - mean) / scale
    elif isinstance(one, FrameVAE) and not _same_line(one, other):
        raise InputError(
            "model: expected one that was trained on from the other (init=), got one of a training of its own; "
            "the numbers of its frame latents mean something else"
        )
    return gain, shift


def _same_line(one: FrameVAE, other: Any) -> bool:
    """Whether two frame tokenizers come of one training: going on with it leaves what they measure by as it was."""
    names = ("background", "latent_mean", "latent_scale")
    return all(torch.equal(getattr(one, name).cpu(), getattr(other, name).cpu()) for name in names)
