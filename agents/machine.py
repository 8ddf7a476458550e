"""On what a result was made: versions, hardware, and the memory that it took."""

from __future__ import annotations

import os
import platform
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from .doctor import PACKAGES, version_of

GIB = 2**30


def versions() -> dict[str, str]:
    """Python's version and those of the packages on which results depend."""
    found = {"python": platform.python_version()}
    named = (*PACKAGES, "triton")  # an extra, but kernels on a GPU are as fast as it makes them
    return found | {name: version for name in named if (version := version_of(name)) is not None}


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hardware() -> dict[str, Any]:
    """`cpu`, `cores` that this process may use, `memory_gib`, and `gpu` or None."""
    import torch

    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {"cpu": _cpu(), "cores": cores(), "memory_gib": round(memory), "gpu": gpu}


class PeakMemory:
    """The largest memory of this process and its children together while the block runs, in bytes.

    It looks twice a second, so a shorter peak of the children may be missed; the kernel's own record of this process's
    peak is always counted.

    Example:
        >>> with PeakMemory() as memory:
        ...     pass
        >>> memory.peak > 0
        True
    """

    def __init__(self, every_seconds: float = 0.5) -> None:
        self.peak = 0
        self._every = every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            self._look()

    def _look(self) -> None:
        self.peak = max(self.peak, family_memory(), _own_peak())


def family_memory() -> int:
    """Bytes of resident memory of this process and its descendants now; shared pages are shared out (PSS)."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    family, frontier = {os.getpid()}, {os.getpid()}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier} - family
        family |= frontier
    return sum(map(_memory_of, family))


def _memory_of(process: int) -> int:
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            lines = Path(f"/proc/{process}/{name}").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    return 0


def _own_peak() -> int:
    import resource

    scale = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
