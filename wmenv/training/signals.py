"""Ctrl-C between two steps, never within one: half an update is neither the old weights nor the new ones."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HELD = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def hold_signals() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block has ended; then they do what they would have done.

    Outside the main thread, which alone hears signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []

    def wait(number: int, frame: Any) -> None:
        waiting.append(number)

    before = {number: signal.getsignal(number) for number in HELD}
    ours = {number: handler for number, handler in before.items() if handler is not None}  # None: C code's own
    try:
        for number in ours:
            signal.signal(number, wait)
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        for number in waiting:
            signal.raise_signal(number)
