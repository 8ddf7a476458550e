"""The tables of the study of RLPF, made of the rows that `python -m benchmarks.rlpf` wrote.

An interval is between seeds: a 95% bootstrap of their mean. Of one seed there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from agents.rows import published_rows

Row = dict[str, Any]


def open_loop_error(row: Row) -> float:
    """Root mean square over all steps of all clips, at most 64 of each.

    Not that of the last step, to which a single clip may reach where a fall ends most of them.
    """
    horizon = row["examined"]["horizon"]
    squares = np.square(horizon["one_dream"])
    return float(np.sqrt(np.average(squares, weights=horizon["clips"])))


ORDER = ("none", "rlpf", "supervised", "filter", "binary", "grpo", "random", "dpo")
SAYS = {
    "none": "not tuned",
    "rlpf": "**RLPF**",
    "supervised": "more supervised steps",
    "filter": "filter and fine-tune",
    "binary": "RLPF's binary reward",
    "grpo": "GRPO on clips",
    "random": "random reward",
    "dpo": "DPO on pairs",
}
COLUMNS: dict[str, Callable[[Row], float]] = {
    "violations V": lambda r: 100 * r["examined"]["V"]["violations"],
    "violations J": lambda r: 100 * r["examined"]["J"]["violations"],
    "could be real V": lambda r: 100 * r["examined"]["V"]["plausible"],
    "could be real J": lambda r: 100 * r["examined"]["J"]["plausible"],
    "held-out loss": lambda r: r["examined"]["figures"]["kept_loss"],
    "motion": lambda r: r["examined"]["figures"]["energy"],
    "diversity": lambda r: r["examined"]["figures"]["diversity"],
    "error in 64 steps": open_loop_error,
    "return in D": lambda r: r["real_return"]["mean"],
    "dreamed less real": lambda r: r["dreamed_return"]["mean"] - r["real_return"]["mean"],
}
NOTE = (
    "Violations: percent of dreamed frames that look like no real one. Could be real: percent of dreamed clips. Error:"
    " of one dream on held-out real clips of D, 1 is guessing the mean, root mean square over all steps, at most 64."
    " Return in D: of PPO that learned in the tuned dream. Intervals are 95% bootstraps over seeds."
)


def load(path: Path) -> list[Row]:
    """The rows of the study; none if it has not been run."""
    return published_rows(path)


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Header and lines: one a task and method."""
    lines = [["task", "seeds", "method", *COLUMNS]]
    for task in sorted({_name(row) for row in rows}):
        for arm in ORDER:
            group = [row for row in rows if _name(row) == task and row["arm"] == arm]
            if group:
                cells = [_interval([column(row) for row in group]) for column in COLUMNS.values()]
                lines.append([task, str(len(group)), SAYS[arm], *cells])
    return lines


def _name(row: Row) -> str:
    """The task, and what is seen of it if that is not its state."""
    frames = row["study"].get("obs") == "frames"  # rows of the first study do not tell: they are of states
    return row["task"].removeprefix("wmenv/") + (", frames" if frames else "")


def _interval(values: Sequence[float]) -> str:
    middle = f"{mean(values):.3g}"
    if len(values) < 2:
        return middle
    drawn = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{middle} ({low:.3g} to {high:.3g})"
