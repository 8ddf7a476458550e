"""Runs one measurement in a process of its own, so that none finds the memory or the caches that another left behind.

What it has measured until it fails is not lost.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any


class MeasurementFailed(RuntimeError):
    """The process of a measurement ended before it was done; the message is its last line."""


def apart(measure: Callable[..., Iterator[Any]], *args: Any) -> Iterator[Any]:
    """What `measure(*args)` yields, measured in a fresh process.

    Args:
        measure: A generator function of a module.
        *args: Its arguments, which are pickled.

    Raises:
        MeasurementFailed: it raised, or its process died.
    """
    context = multiprocessing.get_context("spawn")  # a forked process could not use the GPU
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, measure, args), daemon=True)
    process.start()
    sender.close()
    done = False
    try:
        while not done:
            done, item = receiver.recv()
            if isinstance(item, Exception):
                raise MeasurementFailed(str(item)) from item
            if not done:
                yield item
    except EOFError as error:
        process.join()
        raise MeasurementFailed(f"its process ended with code {process.exitcode}") from error
    finally:
        process.terminate()
        process.join()


def _send(sender: Connection, measure: Callable[..., Iterator[Any]], args: tuple[Any, ...]) -> None:
    try:
        for item in measure(*args):
            sender.send((False, item))
    except Exception as error:
        traceback.print_exc()
        sender.send((True, RuntimeError(f"{type(error).__name__}: {error}")))
    else:
        sender.send((True, None))
