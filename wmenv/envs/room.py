"""When memory runs out: said in dreams, with the number of them that would fit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..errors import WmenvError

SHARE = 0.8
"""Of the free memory that is promised: the rest is for what nobody counts."""

SIGNS = ("can't allocate memory", "out of memory", "alloc_failed")
"""In the messages of allocators that have no error class of their own."""

KEPT = "Nothing is lost"


class DreamMemoryError(WmenvError, MemoryError):
    """There is no memory for so many dreams; the message says what of them is left, and how many would fit."""


@contextmanager
def room_for(rows: int, row_bytes: int | None, device: torch.device, *, left: str = KEPT) -> Iterator[None]:
    """Turn an allocator's error into one that says how many dreams would fit.

    Args:
        rows: how many dreams it is asked for.
        row_bytes: what each takes, or None if that is not known.
        device: where.
        left: what is left of the dreams if it fails.

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
    free = free_bytes(device)
    each, fit = "", ""
    if row_bytes is not None:
        each = f" of about {row_bytes / 2**20:.2g} MiB each"
    if row_bytes is not None and free is not None:
        fit = f"; {free / 2**20:,.0f} MiB are free, for about {int(SHARE * free // row_bytes):,} dreams"
    raise DreamMemoryError(
        f"num_envs: expected dreams that fit into the memory of {device}, got {rows:,}{each}{fit}. {left}"
    ) from failed.with_traceback(None)  # without what the failed call had taken


def ran_out(error: BaseException) -> bool:
    """Whether an error is an allocator's: torch has a class of its own for GPUs and none for CPUs."""
    said = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in said for sign in SIGNS)


def free_bytes(device: torch.device) -> int | None:
    """Bytes that could still be had: of a CPU, what Linux, a container or this process is allowed. None: unknown."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if not sys.platform.startswith("linux"):
        return None
    import resource

    said = Path("/proc/meminfo").read_text(encoding="ascii").split("MemAvailable:")[1]
    free = int(said.split()[0]) * 1024
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        free = min(free, limit - pages * os.sysconf("SC_PAGE_SIZE"))
    container = Path("/sys/fs/cgroup")
    if (container / "memory.max").exists():
        most = (container / "memory.max").read_text(encoding="ascii").strip()
        if most != "max":
            free = min(free, int(most) - int((container / "memory.current").read_text(encoding="ascii")))
    return max(0, free)
