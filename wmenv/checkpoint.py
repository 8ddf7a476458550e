"""Tensors and a JSON description on disk: written atomically, read with a digest, never with pickle."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .atomic import digest, write_bytes, write_json
from .errors import CheckpointError

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


def packed(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors of any device as the bytes of a safetensors file."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def write_checkpoint(folder: Path, description: Mapping[str, Any], tensors: Mapping[str, Tensor], *, stem: str) -> None:
    """Write `stem`.safetensors, then `stem`.json, which holds its digest and so makes it count.

    Raises:
        CheckpointError: the disk is full or the folder may not be written; an earlier checkpoint stays as it was.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        payload = packed(tensors)
        name = f"{stem}-{digest(payload)[:16]}.safetensors"
        write_bytes(folder / name, payload)
        write_json(folder / f"{stem}.json", {**description, "file": name, "sha256": digest(payload)})
        for old in folder.glob(f"{stem}-*.safetensors"):
            if old.name != name:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot write ({error.strerror}); free some space or change folder") from error


def read_checkpoint(folder: Path, *, stem: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `write_checkpoint` wrote.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    description = read_json(folder / f"{stem}.json")
    name = description.get("file")
    if not isinstance(name, str) or Path(name).name != name:
        raise CheckpointError(f"{folder / f'{stem}.json'}: expected the name of a file beside it, got {name!r}")
    return description, read_tensors(folder / name, description.get("sha256"))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from `path`, or CheckpointError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: expected a file, found none; is this the folder of a model?") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); restore it from a copy") from error
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a plain ValueError
        raise CheckpointError(f"{path}: expected JSON, got damage ({error}); restore it from a copy") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(value).__name__}; restore it from a copy")
    return value


def read_tensors(path: Path, sha256: Any) -> dict[str, Tensor]:
    """The tensors of a safetensors file whose digest is `sha256`, or CheckpointError."""
    try:
        payload = path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: expected a file, found none; restore it from a copy") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); restore it from a copy") from error
    if digest(payload) != sha256:
        raise CheckpointError(f"{path}: the digest does not match, the file is damaged; restore it from a copy")
    try:
        return load(payload)
    except (SafetensorError, ValueError, KeyError, struct.error) as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error}); restore it from a copy") from error


def load_tensors(module: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put tensors into a module, name for name and shape for shape, or raise CheckpointError."""
    own = module.state_dict()
    if set(own) != set(tensors):
        odd = sorted(set(own) ^ set(tensors))[:4]
        raise CheckpointError(f"{path}: expected the tensors of its config, but {odd} do not match; restore both files")
    for name, tensor in tensors.items():
        if own[name].shape != tensor.shape or own[name].dtype != tensor.dtype:
            raise CheckpointError(
                f"{path}: {name}: expected {tuple(own[name].shape)} {own[name].dtype}, "
                f"got {tuple(tensor.shape)} {tensor.dtype}; restore both files"
            )
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{path}: {name} holds NaN or infinity; restore an earlier model")
    module.load_state_dict(dict(tensors))
