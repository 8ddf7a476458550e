"""Freed memory is reused: a loop of large temporaries touches no fresh pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

LOOP = """
import resource, torch
torch.set_num_threads(1)
from wmenv.memory import keep_freed_memory
keep_freed_memory()
for _ in range(3):
    torch.zeros(2**20), torch.zeros(2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    torch.zeros(2**20), torch.zeros(2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults() -> int:
    """Pages that the loop takes from the kernel, in a process of its own: what malloc learned cannot be unlearned."""
    return int(
        subprocess.run([sys.executable, "-c", LOOP], capture_output=True, text=True, timeout=120, check=True).stdout
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have rules of their own")
def test_a_loop_of_large_temporaries_takes_no_fresh_pages():
    """Each block has 1,024 pages. Fresh ones every time would be 102,400; a few are touched for the first time."""
    assert faults() < 10_000
