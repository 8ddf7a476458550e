"""Runs the benchmark: corruptions x tasks x noise levels, one row appended per finished cell, resumable.

Real clips that are told from corrupted ones are recorded with other seeds than those that calibrated the verifier.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..clips.real import record_clips
from ..corruptions import CORRUPTIONS, UNLISTED, corrupt, departure
from ..errors import ClipError, TaskError
from ..files import write_bytes
from ..tasks import task_ids
from ..verifier import shipped
from ..verifier.report import PhysicsReport
from .baselines import baseline_scores
from .scores import auroc, false_alarms_at
from .sight import FILMS, sight_of

Array = NDArray[np.float64]
REAL_SEED, CORRUPTED_SEED = 20_271, 20_272  # of clips on which nothing was tuned: those of 71 and 72 were looked at
FEWEST = 8  # corrupted clips without which a cell says nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig:
    """What is benchmarked.

    Args:
        tasks: Ids.
        noise: Sizes of the errors in all clips, in spreads of real states.
        films: Ids of the tasks that are also judged by films of them, through their estimators.
        clips: Real clips, and clips to corrupt, of each task.
        frames: Of each clip.
        without_actions: Also run with the actions taken away.
        rivals_at: The noise level at which the baselines are run, too: their trackers cost more than all the rest.
        unlisted: Also run corruptions that the verifier was not built with in mind.
        least_change: A corrupted clip counts if some coordinate or action differs from the real one by so many spreads
            (root mean square over frames), or by as much as the errors if that is more: what nobody could see is none.

    Raises:
        ClipError: A field is out of range.
        TaskError: There is no such task.
    """

    tasks: tuple[str, ...] = shipped.TASKS
    noise: tuple[float, ...] = shipped.NOISE
    films: tuple[str, ...] = ()
    clips: int = 64
    frames: int = 32
    without_actions: bool = True
    rivals_at: float = 0.02
    unlisted: bool = True
    least_change: float = 0.05

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.clips < FEWEST:
            raise ClipError(f"clips: expected at least {FEWEST}, got {self.clips}")
        unknown = [task for task in (*self.tasks, *self.films) if task not in task_ids()]
        if unknown:
            raise TaskError(f"tasks: expected registered ids, got {unknown[0]!r}; known: {', '.join(task_ids())}")


def run_verifierbench(
    config: BenchConfig,
    out: str | Path,
    progress: Callable[[str], None] = lambda what: None,
    about: Mapping[str, Any] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Runs what `out`/verifierbench.jsonl lacks, and returns all its rows.

    A part (task, noise, actions) that was run with other settings, such as fewer clips, is lacking: its rows are
    replaced once the new ones are there.

    Args:
        config: What is benchmarked.
        out: Folder.
        progress: Told what is next.
        about: How the rows are made, such as command and hardware, for the record; stored with each part's last row.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "verifierbench.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    done = {_part(row): row for row in rows if row["corruption"] == "none"}
    rows = [row for row in rows if _part(row) in done]  # a killed part starts over
    parts: list[tuple[str, float | str]] = [(task, noise) for task in config.tasks for noise in config.noise]
    parts += [(task, FILMS) for task in config.films]
    for task, noise in parts:
        for actions in (True, False) if config.without_actions else (True,):
            part, settings = (task, noise, actions), _settings(config, noise, actions)
            if part in done and settings.items() <= {**_settings(BenchConfig(), noise, actions), **done[part]}.items():
                continue  # rows that were written before settings were stored have the usual ones
            progress(f"{task}, noise {noise}, {'with' if actions else 'without'} actions")
            *cells, real = _cells(config, task, noise, actions)
            rows = [row for row in rows if _part(row) != part] + [*cells, {**real, **settings, **about}]
            write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    return rows


def _part(row: Mapping[str, Any]) -> tuple[str, float | str, bool]:
    return row["task"], row["noise"], row["actions"]


def _settings(config: BenchConfig, noise: float | str, actions: bool) -> dict[str, Any]:
    """What the rows of a part depend on besides the part; stored in its last row."""
    return {
        "clips": config.clips,
        "frames": config.frames,
        "unlisted": config.unlisted,
        "least_change": config.least_change,
        "compared": actions and noise == config.rivals_at,
    }


def _cells(config: BenchConfig, task: str, noise: float | str, actions: bool) -> Iterator[dict[str, Any]]:
    """The rows of one task, sight and arm; the one about real clips comes last, so that it marks the end."""
    sight = sight_of(task, noise)

    def seen(clips: Sequence[MotionClip], seed: int) -> tuple[list[MotionClip], list[Array] | None]:
        found, unsure = sight.see(clips, seed)
        return (found if actions else [clip.without_actions() for clip in found]), unsure

    real = seen(record_clips(task, config.clips, config.frames, seed=REAL_SEED), REAL_SEED)
    source = record_clips(task, config.clips, config.frames, seed=CORRUPTED_SEED)
    begun = time.perf_counter()
    base = _numbers(sight.judge(*real))
    seconds = time.perf_counter() - begun
    compared = _settings(config, noise, actions)["compared"]
    rivals, reference = baseline_scores(real[0]) if compared else ({}, {})
    least = max(config.least_change, noise) if isinstance(noise, float) else config.least_change
    shared = {"task": task, "noise": noise, "actions": actions}
    for number, name in enumerate([*CORRUPTIONS, *(UNLISTED if config.unlisted else ())]):
        made = zip(source, corrupt(name, source, seed=number), strict=True)
        kept = [bad for good, bad in made if bad is not None and departure(good, bad, sight.spread) > least]
        row = {**shared, "corruption": name, "listed": name in CORRUPTIONS, "clips": len(kept)}
        if len(kept) >= FEWEST:
            dirty = seen(kept, CORRUPTED_SEED)
            found = _numbers(sight.judge(*dirty))
            row["auroc"] = {key: auroc(base[key], found[key]) for key in base}
            if compared:
                others, _ = baseline_scores(dirty[0], reference)
                row["baselines"] = {key: auroc(rivals[key], others[key]) for key in rivals}
            row["false_alarms_at_95"] = false_alarms_at(base["clip_score"], found["clip_score"])
            row["found"] = float(np.mean(found["clip_score"] > 1))
        yield row
    yield {
        **shared,
        "corruption": "none",
        "clips": len(real[0]),
        "false_alarms": float(np.mean(base["clip_score"] > 1)),
        "ms_per_clip": 1e3 * seconds / len(real[0]),
    }


def _numbers(reports: Sequence[PhysicsReport]) -> dict[str, Array]:
    """Clip score and mean of every signal, name -> (B,)."""
    names = reports[0].signals
    out = {name: np.array([report.signals[name].mean() for report in reports]) for name in names}
    return {"clip_score": np.array([report.clip_score for report in reports]), **out}
