"""When memory runs out: said in dreams, with the number of them that would fit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..errors import WmenvError
from .dreams import OwnMemory
from .model import DreamModel, device_of

SHARE = 0.8
"""Of the free memory that is promised: the rest is for what nobody counts."""

TEMPORARIES = 24
"""Numbers as wide as the network that a step holds for each token at its widest, both frames of a lazy pass."""


class DreamMemoryError(WmenvError, MemoryError):
    """There is no memory for so many dreams. Nothing is lost: what was dreamed before the call is as it was."""


@contextmanager
def room_for(model: DreamModel, rows: int) -> Iterator[None]:
    """Turn an allocator's error into one that says how many dreams would fit.

    Args:
        model: what dreams.
        rows: how many dreams it is asked for.

    Raises:
        DreamMemoryError: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        failed = error
    else:
        return
    device, each = device_of(model), row_bytes(model)
    free = free_bytes(device)
    fit = "" if free is None else f"; {free / 2**20:,.0f} MiB are free, for about {int(SHARE * free // each):,} dreams"
    raise DreamMemoryError(
        f"num_envs: expected dreams that fit into the memory of {device}, got {rows:,} of about {each / 2**20:.2g} MiB "
        f"each{fit}. Nothing is lost"
    ) from failed.with_traceback(None)  # without what the failed call had taken


def ran_out(error: BaseException) -> bool:
    """Whether an error is an allocator's: torch has a class of its own for GPUs and none for CPUs."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def row_bytes(model: DreamModel) -> int:
    """Bytes that a dream takes: its state, and its share of a step's temporaries."""
    state = OwnMemory(model=model).start(torch.zeros(1, dtype=torch.long, device=device_of(model)), torch.zeros(1))
    held = sum(field.nbytes for field in state if isinstance(field, torch.Tensor))
    width = getattr(model.config, "width", model.config.token_dim)
    return held + 4 * TEMPORARIES * model.config.num_tokens * width


def free_bytes(device: torch.device) -> int | None:
    """Bytes that could still be had on a device: of a CPU, what Linux or this process's limit leaves. None: unknown."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if not sys.platform.startswith("linux"):
        return None
    import resource

    page = os.sysconf("SC_PAGE_SIZE")
    free = os.sysconf("SC_AVPHYS_PAGES") * page
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        free = min(free, limit - int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * page)
    return max(0, free)
