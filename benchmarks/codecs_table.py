"""The table of what codecs cost an agent, made of the rows that `python -m benchmarks.codecs` wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from agents.rows import published_rows
from benchmarks.fewsteps_table import interval

Row = dict[str, Any]
NOTE = (
    "Return on the real task of PPO that learned in dreams whose caches are stored so; all have the same model, and the"
    " same seeds of dreams and PPO. Gain: return above no action at all, as a share of that in float32,"
    " in pairs of one seed. Bytes: of keys and values, a dream. Mean over seeds ± standard error."
)


def load(path: Path) -> list[Row]:
    """The rows, one a task, seed and codec, of which the last counts; none if it has not been run."""
    return list({(row["task"], row["seed"], row["codec"]): row for row in published_rows(path)}.values())


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Header and lines: one a task and codec, the most bytes first."""
    lines = [["task", "seeds", "codec", "bytes", "return", "gain, of float32's"]]
    for task in sorted({row["task"] for row in rows}):
        ours = [row for row in rows if row["task"] == task]
        exact = {row["seed"]: row for row in ours if row["codec"] == "fp32"}
        groups = [[row for row in ours if row["codec"] == codec] for codec in {row["codec"] for row in ours}]
        for group in sorted(groups, key=_bytes, reverse=True):
            shares = [100 * _gain(row) / _gain(exact[row["seed"]]) for row in group if row["seed"] in exact]
            returns = [row["real_return"]["mean"] for row in group]
            told = [f"{_bytes(group):,.0f}", interval(returns), interval(shares) + "%" if shares else "–"]
            lines.append([task.removeprefix("wmenv/"), str(len(group)), group[0]["codec"], *told])
    return lines


def _bytes(group: Sequence[Row]) -> float:
    """Mean over seeds, whose pools differ a little with their recordings."""
    return mean(row["cache_bytes"] for row in group)


def _gain(row: Row) -> float:
    return row["real_return"]["mean"] - row["zero_return"]["mean"]
