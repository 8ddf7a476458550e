"""The files of a policy folder: JSON and safetensors with digests, written so that a kill never loses the old ones.

The commit point is `config.json`, which holds the digests of the weights and of the world model. New ones are first
written beside the old under `NEXT_NAME` and `NEXT_MODEL`; a reader who finds that the config already speaks of them
takes them from there.
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
MODEL, NEXT_MODEL, OLD_MODEL = "model", "model.next", "model.old"
MODEL_WEIGHTS = "model.safetensors"
CONFIG_LIMIT = 1 << 20
"""A config larger than this many bytes is foreign: refused unread."""


def write(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], model: WorldModel | None = None
) -> None:
    """Replaces config, weights and world model together.

    Args:
        folder: Made if missing.
        config: JSON values.
        tensors: The network's state.
        model: Has `save_pretrained`; None keeps the one that is there, if any.

    Raises:
        OSError: The disk is full or read-only; the older policy is still readable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _settle(folder)
    data = checkpoint.packed(tensors)
    if model is not None:
        shutil.rmtree(folder / NEXT_MODEL, ignore_errors=True)  # a first save, killed before there was a config
        model.save_pretrained(folder / NEXT_MODEL)
    record: dict[str, Any] = {"format": FORMAT, **config, "weights_digest": atomic.digest(data)}
    record["model_digest"] = _model_digest(folder / (MODEL if model is None else NEXT_MODEL))
    record["digest"] = _record_digest(record)
    atomic.write_bytes(folder / NEXT_NAME, data)
    atomic.write_json(folder / CONFIG_NAME, record)
    _settle(folder)
    atomic.sync_folder(folder)


def _settle(folder: Path) -> None:
    """Puts what the config speaks of where it belongs: the end of a save, or of one that was killed."""
    try:
        record = _read_config(folder / CONFIG_NAME)
    except CheckpointError:
        return
    following = folder / NEXT_NAME
    if following.exists() and atomic.digest(following.read_bytes()) == record.get("weights_digest"):
        following.replace(folder / WEIGHTS_NAME)
    digest = record.get("model_digest")
    if digest is not None and _model_digest(folder / MODEL) != digest == _model_digest(folder / NEXT_MODEL):
        shutil.rmtree(folder / OLD_MODEL, ignore_errors=True)
        if (folder / MODEL).exists():
            (folder / MODEL).rename(folder / OLD_MODEL)
        (folder / NEXT_MODEL).rename(folder / MODEL)
    for leftover in (OLD_MODEL, NEXT_MODEL):
        shutil.rmtree(folder / leftover, ignore_errors=True)


def model_folder(folder: Path) -> Path:
    """Where the world model of the policy in `folder` lies: beside the old one, if its save was killed.

    Raises:
        CheckpointError: The config, or the model that it speaks of, is missing or damaged.
    """
    expected = _read_config(folder / CONFIG_NAME).get("model_digest")
    for name in (MODEL, NEXT_MODEL):
        if expected is not None and _model_digest(folder / name) == expected:
            return folder / name
    path = folder / MODEL / MODEL_WEIGHTS
    raise CheckpointError(f"{path}: missing, damaged or of another policy; save the policy again")


def _model_digest(folder: Path) -> str | None:
    weights = folder / MODEL_WEIGHTS
    return atomic.digest(weights.read_bytes()) if weights.is_file() else None


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
    if record.get("model_digest") is not None:
        model_folder(folder)
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
