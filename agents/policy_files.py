"""The files of a policy folder: JSON and safetensors with digests, written so that a kill never loses the old ones.

The commit point is `config.json`, which holds the digest of the weights. New weights are first written beside the old
ones under `NEXT_NAME`; a reader who finds that the config already speaks of them takes them from there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from wmenv import CheckpointError, atomic, checkpoint

if TYPE_CHECKING:
    from wmenv import WorldModel

FORMAT = "wmenv-policy-1"
CONFIG_NAME = "config.json"
WEIGHTS_NAME = "policy.safetensors"
NEXT_NAME = "policy.next.safetensors"
MODEL_WEIGHTS = Path("model") / "model.safetensors"
CONFIG_LIMIT = 1 << 20
"""A config larger than this many bytes is foreign: refused unread."""


def write(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Replaces config and weights together.

    Args:
        folder: Made if missing.
        config: JSON values.
        tensors: The network's state.

    Raises:
        OSError: The disk is full or read-only; the older policy is still readable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = checkpoint.packed(tensors)
    record: dict[str, Any] = {"format": FORMAT, **config, "weights_digest": atomic.digest(data)}
    model_weights = folder / MODEL_WEIGHTS
    record["model_digest"] = atomic.digest(model_weights.read_bytes()) if model_weights.exists() else None
    record["digest"] = _record_digest(record)
    atomic.write_bytes(folder / NEXT_NAME, data)
    atomic.write_json(folder / CONFIG_NAME, record)
    (folder / NEXT_NAME).replace(folder / WEIGHTS_NAME)
    atomic.sync_folder(folder)


def write_model(folder: Path, model: WorldModel) -> None:
    """Puts a copy of the world model into the folder, whole or not at all.

    Args:
        folder: Made if missing.
        model: Has `save_pretrained`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fresh, old, final = folder / "model.tmp", folder / "model.old", folder / "model"
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    model.save_pretrained(fresh)
    if final.exists():
        final.rename(old)
    fresh.rename(final)
    shutil.rmtree(old, ignore_errors=True)
    atomic.sync_folder(folder)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Reads and verifies config and weights, and the digest of the world model beside them.

    Args:
        folder: What `write` made.

    Returns:
        The config record and the tensors.

    Raises:
        CheckpointError: A file is missing, damaged or of another kind; the message names it.
    """
    if not folder.is_dir():
        raise CheckpointError(f"policy: expected a policy folder, got {str(folder)!r}; `wmenv imagine` makes one")
    record = _read_config(folder / CONFIG_NAME)
    data = _read_weights(folder, record.get("weights_digest"))
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder / WEIGHTS_NAME}: not a safetensors file ({error})") from error
    expected = record.get("model_digest")
    model_weights = folder / MODEL_WEIGHTS
    if expected is not None and (not model_weights.is_file() or atomic.digest(model_weights.read_bytes()) != expected):
        raise CheckpointError(f"{model_weights}: missing, damaged or of another policy; save the policy again")
    return record, tensors


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path}: missing; expected a policy folder as `wmenv imagine` writes it")
    if path.stat().st_size > CONFIG_LIMIT:
        raise CheckpointError(f"{path}: expected at most {CONFIG_LIMIT} bytes, got {path.stat().st_size}")
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        got = record.get("format") if isinstance(record, dict) else type(record).__name__
        raise CheckpointError(f"{path}: expected format {FORMAT!r}, got {got!r}")
    if record.get("digest") != _record_digest(record):
        raise CheckpointError(f"{path}: its digest does not fit its content; the file was damaged or edited")
    return record


def _read_weights(folder: Path, expected: object) -> bytes:
    for name in (WEIGHTS_NAME, NEXT_NAME):
        path = folder / name
        if path.is_file():
            data = path.read_bytes()
            if atomic.digest(data) == expected:
                return data
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        raise CheckpointError(f"{path}: missing; save the policy again")
    raise CheckpointError(f"{path}: its SHA-256 is not the one in {folder / CONFIG_NAME}; the file is damaged")


def _record_digest(record: Mapping[str, Any]) -> str:
    body = {key: value for key, value in record.items() if key != "digest"}
    return atomic.digest(json.dumps(body, sort_keys=True).encode())
