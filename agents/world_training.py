"""Training and distilling with what a person at a terminal needs: bars, a record of the losses, a word after Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .callbacks import RECORD_NAME, JsonlWriter
from .progress import Progress, progress_bar

if TYPE_CHECKING:
    from wmenv import WorldModel

RECORD_SECONDS = 1.0


def train_world_model(
    data: str | Path,
    out: str | Path,
    *,
    preset: str = "tiny",
    seed: int = 0,
    init: WorldModel | str | Path | None = None,
    progress: bool = True,
    **options: Any,
) -> WorldModel:
    """Trains or resumes a world model; see `wmenv.train.train` for the arguments and errors.

    Args:
        data: Folder of the data set.
        out: Folder of the model; gets `metrics.jsonl` with the losses of each stage too.
        preset: Size.
        seed: Of weights and batches.
        init: A model to start from.
        progress: Show bars on stderr.
        **options: Further ones of `wmenv.train.train`, such as `task` and `overwrite`.

    Raises:
        KeyboardInterrupt: After a checkpoint; the message says where it is.
    """
    from wmenv import train as pipeline

    with _report(Path(out) / RECORD_NAME, seed, progress) as report:
        try:
            return pipeline.train(data, out, preset=preset, seed=seed, init=init, progress=report, **options)
        except KeyboardInterrupt:
            place = Path(out) / "training"
            raise KeyboardInterrupt(f"stopped; the training so far is in {place}, the same command goes on") from None


def distill_world_model(
    model: WorldModel | str | Path,
    data: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> WorldModel:
    """Distils or resumes; see `wmenv.distill.distill` for the arguments and errors.

    Args:
        model: The teacher or its folder.
        data: Folder of the data set that it learned from.
        out: Folder of the new model; gets `metrics.jsonl` with the losses too.
        seed: Of batches and noise.
        progress: Show a bar on stderr.
        **options: Further ones of `wmenv.distill.distill`, such as `config` and `overwrite`.

    Raises:
        KeyboardInterrupt: After a checkpoint; the message says where it is.
    """
    from wmenv import distill as pipeline

    with _report(Path(out) / RECORD_NAME, seed, progress, "distill") as report:
        try:
            return pipeline.distill(model, data, out, seed=seed, progress=report, **options)
        except KeyboardInterrupt:
            place = Path(out) / "training"
            raise KeyboardInterrupt(f"stopped; the training so far is in {place}, the same command goes on") from None


@contextmanager
def _report(path: Path, seed: int, show: bool, verb: str = "train") -> Iterator[Any]:
    """Yields progress(stage, step, of_steps, losses): a bar for each stage, a row of the record each second."""
    bars: dict[str, Progress | None] = {}
    writer: JsonlWriter | None = None
    written = 0.0
    with ExitStack() as stack:
        current = stack.enter_context(ExitStack())

        def report(stage: str, step: int, of_steps: int, losses: Mapping[str, float]) -> None:
            nonlocal writer, written
            if stage not in bars:
                current.close()
                bars[stage] = current.enter_context(progress_bar(f"{verb}, {stage}", wanted=show))
            if (bar := bars[stage]) is not None:
                bar(step, of_steps, losses)
            if time.monotonic() - written > RECORD_SECONDS or step == of_steps:
                writer = writer or stack.enter_context(_closing(JsonlWriter(path, seed=seed)))
                writer.write({"stage": stage, **{f"loss/{name}": value for name, value in losses.items()}}, {}, step)
                written = time.monotonic()

        yield report


@contextmanager
def _closing(writer: JsonlWriter) -> Iterator[JsonlWriter]:
    try:
        yield writer
    finally:
        writer.close()
