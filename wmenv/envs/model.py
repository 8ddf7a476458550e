"""What an environment asks of a world model, and how the argument `model=` becomes one on the right device.

# B envs, S denoising steps, N tokens, C channels, A action size, O observation size, K recorded starts
"""

from __future__ import annotations

import copy
import os
from typing import Any, Protocol

import torch
from torch import Tensor

from ..device import named_device
from ..errors import InputError
from ..types import DreamState, EncoderState, StepOutput


class DreamConfig(Protocol):
    """The part of a world model's configuration that environments read; lengths in SI units."""

    task: str
    modality: str
    image_size: int | None
    state_dim: int
    state_low: tuple[float, ...]
    state_high: tuple[float, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    history: int
    num_tokens: int
    token_dim: int
    denoise_steps: int
    max_episode_steps: int | None
    fps: float


class DreamModel(Protocol):
    """A world model that can be dreamed in. Every method is pure and works row by row.

    If a model has an attribute `steps_in_place` that is True, its `step` also takes `consume=True`, which allows it to
    write into the state that it is given; the environment never steps that state again, unless the step fails.
    """

    config: DreamConfig
    num_starts: int
    start_is_initial: Tensor  # (K,) bool

    def start(self, index: Tensor) -> DreamState:
        """The dreams that begin at the recorded contexts `index` (B,)."""
        ...

    def step(self, state: DreamState, action: Tensor, noise: Tensor) -> StepOutput:
        """One step of every row: action (B, A), noise (B, S, N, C)."""
        ...

    def latent_observation(self, state: DreamState) -> Tensor:
        """What the policy sees: (B, O) float32 within +-LATENT_BOUND."""
        ...

    def decode(self, state: DreamState) -> Tensor:
        """Frames (B, size, size, 3) uint8, or the state (B, state_dim) in SI units."""
        ...

    def encoder_reset(self, obs: Tensor) -> EncoderState:
        """A streaming encoder that has seen the first real observation of each row."""
        ...

    def encoder_step(self, state: EncoderState, obs: Tensor) -> EncoderState:
        """The encoder after one more real observation of each row."""
        ...

    def encoder_observation(self, state: EncoderState) -> Tensor:
        """The same (B, O) as a dream that stands where the encoder stands."""
        ...


def device_of(model: DreamModel) -> torch.device:
    """The device on which `model` lies."""
    return model.start_is_initial.device


def resolve_model(model: Any, device: str = "auto") -> DreamModel:
    """The world model that `model=` names, on `device`.

    Args:
        model: a folder written by `WorldModel.save_pretrained`, or a world model, which is left where and as it is.
        device: "cpu", "cuda" (or "cuda:1"), or "auto": a folder is loaded to the GPU when there is one, and a model
            stays where it lies.

    Raises:
        InputError: if `model` is neither, or the device is unknown or missing.
        CheckpointError: if the folder does not hold a sound model.
    """
    place = None if device == "auto" else named_device(device)
    if isinstance(model, str | os.PathLike):
        from ..world_model import WorldModel  # here, since a user's own model needs none of it

        return WorldModel.from_pretrained(model).to(named_device(device))
    if not all(hasattr(model, name) for name in ("config", "start", "step", "latent_observation")):
        raise InputError(f"model: expected a folder or a WorldModel, got {type(model).__name__}; pass model='runs/...'")
    if place is None or place.type == device_of(model).type and place.index in (None, device_of(model).index):
        return model
    return copy.deepcopy(model).to(place)
