"""Progress bars for a person; whatever does the work calls progress(done, total, numbers) and knows no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called as progress(done, total, numbers to show)."""


@contextmanager
def progress_bar(title: str, unit: str = "steps", *, wanted: bool = True) -> Iterator[Progress | None]:
    """A bar on stderr, so that stdout stays clean for results.

    Args:
        title: Stands before the bar.
        unit: What is counted.
        wanted: None is yielded if False.

    Yields:
        The function to call.
    """
    if not wanted:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[numbers]}"),
        TimeRemainingColumn(),
    )
    bar = Bar(*columns, console=Console(stderr=True))
    line = bar.add_task(title, total=None, rate="", numbers="")
    begun = time.monotonic()
    first: int | None = None

    def progress(done: int, total: int, numbers: Mapping[str, float]) -> None:
        nonlocal first
        if first is None:
            first = done if done < total else 0  # a resumed run did these before
            bar.start()
        rate = (done - first) / max(time.monotonic() - begun, 1e-9)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        bar.update(line, completed=done, total=total, rate=f"{rate:,.0f} {unit}/s", numbers=shown)

    try:
        yield progress
    finally:
        if first is not None:
            bar.stop()


def say(text: str) -> None:
    """One line for a person, on stderr: stdout belongs to results."""
    print(text, file=sys.stderr, flush=True)
