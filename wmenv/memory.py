"""Keeps freed memory at hand: without it, a third of a dreamed step on a CPU is the kernel clearing fresh pages.

glibc takes blocks above 128 KB fresh from the kernel and gives them back when they are freed, until it sees a larger
one freed; then that size is the bound. A step's temporaries, some hundred KB each, would come and go page by page.
"""

from __future__ import annotations

from functools import cache

import torch

BLOCK = 31 * 2**20
"""Bytes; just under the largest block from which glibc learns (32 MiB). It then keeps at most twice as much."""


@cache
def keep_freed_memory() -> None:
    """Let this process's allocator reuse freed blocks up to 31 MB; does nothing where malloc is not glibc's."""
    torch.empty(BLOCK, dtype=torch.uint8)
