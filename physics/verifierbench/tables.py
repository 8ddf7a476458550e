"""The benchmark's rows as Markdown tables: who finds what, and what is lost without actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from .sight import FILMS

Row = Mapping[str, Any]
RULE = "---"


def summary_tables(rows: Sequence[Row], noise: float = 0.02) -> dict[str, str]:
    """Markdown tables of the rows at one noise level.

    Returns:
        "cells" (corruption by task, with actions), "blind" (the same without), "frames" (from films), "rivals"
        (corruption by measure), "noise" (by size of the errors) and "tasks" (false alarms and cost).
    """
    of = summary_rows(rows, noise)
    return {
        "cells": cell_table(of["cells"], actions=True),
        "blind": cell_table(of["blind"], actions=False),
        "rivals": rival_table(of["rivals"], actions=True),
        "frames": cell_table(of["frames"], actions=True),
        "noise": noise_table(of["noise"]),
        "tasks": task_table(of["tasks"]),
    }


def summary_rows(rows: Sequence[Row], noise: float = 0.02) -> dict[str, list[Row]]:
    """The rows from which each of the `summary_tables` is drawn, by the table's name."""
    at = [row for row in rows if row["noise"] == noise]
    films = [row for row in rows if row["noise"] == FILMS]
    return {"cells": at, "blind": at, "rivals": at, "frames": films, "noise": list(rows), "tasks": at}


def cell_table(rows: Sequence[Row], *, actions: bool) -> str:
    """AUROC of `clip_score` for each corruption and task; '–' where a corruption changes nothing that could be seen."""
    rows = [row for row in rows if row["actions"] == actions and row["corruption"] != "none"]
    tasks = _unique(row["task"] for row in rows)
    lines = []
    for name in _names(rows):
        found = {
            row["task"]: row["auroc"]["clip_score"] for row in rows if row["corruption"] == name and "auroc" in row
        }
        if found:
            unlisted = "" if _listed(rows, name) else " *"
            cells = [_two(found[task]) if task in found else "–" for task in tasks]
            lines.append([name.replace("_", " ") + unlisted, *cells, _two(mean(found.values()))])
    lines.append(["**macro mean**", *[_two(_macro(rows, task)) for task in tasks], _two(_macro(rows))])
    lines.append(["**lowest cell**", *[_two(_lowest(rows, task)) for task in tasks], _two(_lowest(rows))])
    return _markdown(["corruption", *map(_short, tasks), "mean"], lines)


def rival_table(rows: Sequence[Row], *, actions: bool) -> str:
    """Mean AUROC over tasks of `clip_score`, of its strongest signals and of the baselines, by corruption."""
    rows = [row for row in rows if row["actions"] == actions and "baselines" in row]
    if not rows:
        return ""
    signals = [key for key in rows[0]["auroc"] if key != "clip_score"]
    best = sorted(signals, key=lambda key: -mean(row["auroc"][key] for row in rows))[:5]
    rivals = list(rows[0]["baselines"])
    lines = []
    for name in [*_names(rows), None]:
        group = [row for row in rows if name is None or row["corruption"] == name]
        cells = [_two(mean(row["auroc"][key] for row in group)) for key in ("clip_score", *best)]
        cells += [_two(mean(row["baselines"][key] for row in group)) for key in rivals]
        lines.append(["**all**" if name is None else name.replace("_", " "), *cells])
    return _markdown(["corruption", "**clip_score**", *best, *rivals], lines)


def noise_table(rows: Sequence[Row]) -> str:
    """Macro AUROC and lowest cell by noise level, with actions and without, over the tasks that were run there."""
    lines = []
    for noise in sorted({row["noise"] for row in rows} - {FILMS}):
        for actions in (True, False):
            group = [row for row in rows if row["noise"] == noise and row["actions"] == actions]
            if any("auroc" in row for row in group):
                alarms = mean(row["false_alarms"] for row in group if row["corruption"] == "none")
                cells = [_two(_macro(group)), _two(_lowest(group)), f"{alarms:.1%}"]
                tasks = len({row["task"] for row in group})
                lines.append([f"{noise:.0%}", "with" if actions else "without", str(tasks), *cells])
    return _markdown(["noise", "actions", "tasks", "macro AUROC", "lowest cell", "false alarms"], lines)


def task_table(rows: Sequence[Row]) -> str:
    """False alarms on held-out real clips, and what a clip costs, by task."""
    lines = []
    for row in rows:
        if row["corruption"] == "none":
            arm = "with" if row["actions"] else "without"
            lines.append([_short(row["task"]), arm, f"{row['false_alarms']:.1%}", f"{row['ms_per_clip']:.1f}"])
    return _markdown(["task", "actions", "false alarms", "ms per clip"], lines)


def _macro(rows: Sequence[Row], task: str | None = None) -> float | None:
    cells = _cells(rows, task)
    return mean(cells) if cells else None


def _lowest(rows: Sequence[Row], task: str | None = None) -> float | None:
    return min(_cells(rows, task), default=None)


def _cells(rows: Sequence[Row], task: str | None) -> list[float]:
    """Of the listed corruptions; the others are shown, not counted."""
    return [
        row["auroc"]["clip_score"]
        for row in rows
        if "auroc" in row and row["listed"] and (task is None or row["task"] == task)
    ]


def _names(rows: Sequence[Row]) -> list[str]:
    names = _unique(row["corruption"] for row in rows)
    return sorted(names, key=lambda name: not _listed(rows, name))


def _listed(rows: Sequence[Row], name: str) -> bool:
    return next(row["listed"] for row in rows if row["corruption"] == name)


def _unique(values: Any) -> list[str]:
    return list(dict.fromkeys(values))


def _short(task: str) -> str:
    return task.removeprefix("wmenv/").removesuffix("-v0")


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, [RULE] * len(header), *lines])
