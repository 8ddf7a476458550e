"""What the argument `device=` names."""

from __future__ import annotations

import torch

from .errors import InputError


def named_device(device: str) -> torch.device:
    """The device called "cpu", "cuda" (or "cuda:1"), or "auto": a GPU when there is one.

    Raises:
        InputError: if the name is another, or there is no such GPU.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device: expected 'cpu', 'cuda' or 'auto', got {device!r}; choose one of them") from error
    if place.type not in ("cpu", "cuda"):
        raise InputError(f"device: expected 'cpu', 'cuda' or 'auto', got {device!r}; choose one of them")
    if place.type == "cuda" and not (torch.cuda.is_available() and (place.index or 0) < torch.cuda.device_count()):
        raise InputError(
            f"device: expected a CUDA GPU for {device!r}, got {torch.cuda.device_count()} of them; use 'auto' or 'cpu'"
        )
    return place
