"""A stored world model as files: weights, a config with their digest, and a card that a person can read.

The commit point is `config.json`. New weights are first written beside the old under `NEXT_WEIGHTS`; a reader who finds
that the config already speaks of them takes them from there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from .atomic import TEMPORARY_PREFIX, digest, sync_folder, write_bytes, write_json
from .checkpoint import CONFIG, WEIGHTS, packed, read_json, read_tensors
from .config import WorldModelConfig
from .errors import CheckpointError

CARD = "README.md"
NEXT_WEIGHTS = "model.next.safetensors"


def write_model(folder: Path, config: WorldModelConfig, tensors: Mapping[str, Tensor]) -> None:
    """Write the three files; whenever it is stopped, the folder holds the earlier model or this one, never a mixture.

    All are written aside before the config takes its place, so that a full disk leaves an earlier model as it was.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    payload = packed(tensors)
    aside = folder / f"{TEMPORARY_PREFIX}model"
    try:
        aside.mkdir(parents=True, exist_ok=True)
        _settle(folder)
        write_bytes(aside / WEIGHTS, payload)
        write_bytes(aside / CARD, card(config, len(payload)).encode())
        write_json(aside / CONFIG, {**config.to_dict(), "weights_sha256": digest(payload)})
        os.replace(aside / WEIGHTS, folder / NEXT_WEIGHTS)
        sync_folder(folder)  # each name is on the disk before the next: a power cut keeps their order
        os.replace(aside / CONFIG, folder / CONFIG)
        sync_folder(folder)
        os.replace(aside / CARD, folder / CARD)
        os.replace(folder / NEXT_WEIGHTS, folder / WEIGHTS)
        sync_folder(folder)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot write ({error.strerror}); free some space or change folder") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _settle(folder: Path) -> None:
    """The end of a save that was killed: weights that the config speaks of take their place, before others come."""
    try:
        held = _weights(folder, read_json(folder / CONFIG).get("weights_sha256"))
    except CheckpointError:  # a first save, or over what is damaged
        return
    if held.name != WEIGHTS:
        os.replace(held, folder / WEIGHTS)


def _weights(folder: Path, sha256: Any) -> Path:
    """Where the weights of this digest lie: beside the old ones, if their save was killed."""
    following = folder / NEXT_WEIGHTS
    try:
        killed = digest(following.read_bytes()) == sha256
    except OSError:  # there are none, as after every save that came to its end
        killed = False
    return following if killed else folder / WEIGHTS


def read_model(folder: Path) -> tuple[WorldModelConfig, dict[str, Tensor]]:
    """What `write_model` wrote, or whatever a stranger did: config and weights are checked against each other.

    Raises:
        CheckpointError: a file is missing, damaged or of another kind.
    """
    values = read_json(folder / CONFIG)
    config = WorldModelConfig.from_dict(values)
    sha256 = values.get("weights_sha256")
    tensors = read_tensors(_weights(folder, sha256), sha256)
    least, held = config.least_numbers(), sum(tensor.numel() for tensor in tensors.values())
    if least > held:  # before memory is taken for whatever a stranger wrote
        raise CheckpointError(f"{folder / CONFIG}: its sizes need over {least} weights, the file beside it has {held}")
    slots = tensors.get("tokenizer.slots")
    if slots is not None and slots.tolist() != list(config.state_slots):
        raise CheckpointError(f"{folder / WEIGHTS}: tokenizer.slots: expected the state_slots of its config")
    return config, tensors


def card(config: WorldModelConfig, size: int) -> str:
    """The model card, as Markdown."""
    sees = f"{config.image_size} x {config.image_size} frames" if config.modality == "frames" else "the task's state"
    how = f", distilled: {', then '.join(config.distilled)}" if config.distilled else ""
    steps = f"{config.denoise_steps} step(s){how}"
    return f"""---
library_name: wmenv
tags: [world-model, gymnasium, reinforcement-learning]
---
# A world model of {config.task}

It dreams `{config.task}` from {sees}, at {config.fps:g} steps per simulated second; {size / 2**20:.1f} MiB.

    import gymnasium as gym, wmenv
    env = gym.make("wmenv/Dream-v0", model="PATH OF THIS FOLDER")

| | |
|---|---|
| latent | {config.num_tokens} tokens x {config.token_dim} channels; a policy sees the last {config.history} |
| dynamics | {config.depth} blocks of width {config.width}, window {config.window}, {steps} |
| starts | {config.num_starts} recorded contexts |
| state | {", ".join(config.state_names)} |

It knows what its recording showed and no more: far from that, a dream is a guess.
"""
