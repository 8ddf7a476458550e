"""A stored world model as files: weights, a config with their digest, and a card that a person can read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from .atomic import TEMPORARY_PREFIX, digest, sync_folder, write_bytes, write_json
from .checkpoint import CONFIG, WEIGHTS, packed, read_json, read_tensors
from .config import WorldModelConfig
from .errors import CheckpointError

CARD = "README.md"


def write_model(folder: Path, config: WorldModelConfig, tensors: Mapping[str, Tensor]) -> None:
    """Write the three files; config.json comes last, so that a half-written folder never reads as a model.

    All are written aside before the first takes its place, so that a full disk leaves an earlier model as it was.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    payload = packed(tensors)
    aside = folder / f"{TEMPORARY_PREFIX}model"
    try:
        aside.mkdir(parents=True, exist_ok=True)
        write_bytes(aside / WEIGHTS, payload)
        write_bytes(aside / CARD, card(config, len(payload)).encode())
        write_json(aside / CONFIG, {**config.to_dict(), "weights_sha256": digest(payload)})
        for name in (WEIGHTS, CARD, CONFIG):
            os.replace(aside / name, folder / name)
        sync_folder(folder)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot write ({error.strerror}); free some space or change folder") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def read_model(folder: Path) -> tuple[WorldModelConfig, dict[str, Tensor]]:
    """What `write_model` wrote, or whatever a stranger did: config and weights are checked against each other.

    Raises:
        CheckpointError: a file is missing, damaged or of another kind.
    """
    values = read_json(folder / CONFIG)
    config = WorldModelConfig.from_dict(values)
    tensors = read_tensors(folder / WEIGHTS, values.get("weights_sha256"))
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
