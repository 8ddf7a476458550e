"""`wmenv align`: tunes a world model by physics, examines it beside the one it came from, and writes both down."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from wmenv import EpisodeStore, InputError, atomic, checkpoint, train

from .align import AlignConfig, align
from .align.verifiers import WORLDS, centred_worlds, check_readable, read_worlds
from .examine import Examiner
from .imagine import load_model
from .machine import hardware, versions
from .progress import Progress
from .recording.record import record
from .report.tuning import render

RECORDED_STEPS = 4_000
PAGE, FIGURES = "align.html", "align.json"


def tune(
    model: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    task: str | None = None,
    config: AlignConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Tunes a model and writes `align.json` and `align.html` beside it; goes on wherever it was stopped.

    Args:
        model: Folder of the model.
        out: Folder of the tuned model.
        data: Folder of the recording that it learned from; None: some is recorded now, with random actions.
        task: The real task to record, if `data` is None; it must be the model's.
        config: Options.
        seed: Of everything.
        progress: Told how far it is.
        **options: Further ones of `agents.align.align`.

    Returns:
        What is in `align.json`.

    Raises:
        InputError: `task` is not the model's.
        EstimatorError: The model dreams frames of a task for which no estimator is shipped.
        CheckpointError: `align.json` of an earlier run is damaged; without it the models are examined anew.
    """
    config, out, begun = config or AlignConfig(), Path(out), time.monotonic()
    given = load_model(model)
    if task is not None and task != given.config.task:
        raise InputError(f"task: expected {given.config.task}, which the model dreams, got {task}")
    check_readable(given)
    if data is None:
        data, obs = out / "data", cast(Any, given.config.modality)
        have = EpisodeStore.open(data).num_steps if data.exists() else 0  # a run that was stopped has recorded some
        if have < RECORDED_STEPS:
            record(given.config.task, RECORDED_STEPS - have, "random", data, obs=obs, seed=seed)
    tuned = align(given, data, out, config=config, seed=seed, progress=progress, **options)
    if (out / FIGURES).exists():
        return checkpoint.read_json(out / FIGURES)
    episodes = EpisodeStore.open(data, task=given.config.task).load()
    content: dict[str, Any] = {
        "task": given.config.task,
        "modality": given.config.modality,
        "method": config.method,
        "seed": seed,
        "config": asdict(config),
    }
    if (out / WORLDS).exists():
        worlds = read_worlds(out / WORLDS)
    else:  # a verifier was given
        worlds = centred_worlds(given.config.task, train.parted(episodes)[0], config)
    examiner = Examiner(given, episodes, worlds)
    content |= {"real": examiner.anchor(), "before": examiner.examine(given), "after": examiner.examine(tuned)}
    content |= {"wall_seconds": round(time.monotonic() - begun), "hardware": hardware(), "versions": versions()}
    atomic.write_bytes(out / PAGE, render(content).encode())
    atomic.write_json(out / FIGURES, content)  # last: where it lies, all is done
    return content
