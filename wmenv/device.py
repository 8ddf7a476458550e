"""What the argument `device=` names, and what a device is quick at."""

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


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether `device` has units for products in bfloat16: AVX512-BF16 or AMX on a CPU, Ampere or newer on a GPU.

    Where there are none they are emulated: on an AMD EPYC with AVX2 a product of 1024 x 192 by 192 x 768 took 37 times
    as long as in float32. What torch does not tell, or has not been measured (ARM), counts as none.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch does not tell
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
