"""The table of docs/fewsteps.md, made of the rows that `python -m benchmarks.fewsteps` wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from agents.rows import published_rows

Row = dict[str, Any]
ORDER = ("teacher", "consistency", "self_forcing", "flow_map")


def _at(row: Row, kind: str, name: str, step: int) -> float | None:
    found = row["measured"][kind]
    return found[name][found["horizons"].index(step)] if step in found["horizons"] else None


COLUMNS: dict[str, Callable[[Row], float | None]] = {
    "steps a second": lambda r: r["measured"]["steps_a_cpu_second"],
    "error at 1": lambda r: _at(r, "horizon", "one_dream", 1),
    "at 10": lambda r: _at(r, "horizon", "one_dream", 10),
    "at 50": lambda r: _at(r, "horizon", "one_dream", 50),
    "energy score at 1": lambda r: _at(r, "energy", "score", 1),
    "at 8 ": lambda r: _at(r, "energy", "score", 8),
    "spread at 1": lambda r: _at(r, "energy", "spread", 1),
    "violations": lambda r: 100 * r["measured"]["V"]["violations"],
    "could be real": lambda r: 100 * r["measured"]["V"]["plausible"],
    "return": lambda r: r["real_return"] and r["real_return"]["mean"],
    "dreamed less real": lambda r: r["real_return"] and r["dreamed_return"]["mean"] - r["real_return"]["mean"],
}
NOTE = (
    "Slip: probability that a motor does again what it did last. Steps a second: of one core, 64 dreams together."
    " Error: root mean square of one dream, 1 is guessing the mean. Energy score: less is nearer to how recordings are"
    " distributed; spread: distance of two dreams of one context; both in usual changes of a step. Violations: percent"
    " of dreamed frames that look like no recorded one, could be real: percent of dreamed clips. Return: on the real"
    " task, slips included, of PPO that learned in the dream. Mean over seeds ± standard error."
)


def load(path: Path) -> list[Row]:
    """The rows of the study, one a task, slip, seed and arm, of which the last counts; none if it has not been run."""
    rows = {(row["task"], row["slip"], row["seed"], row["arm"]): row for row in published_rows(path)}
    return list(rows.values())


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Header and lines: one a task, slip and arm."""
    lines = [["task", "slip", "seeds", "model", "steps", *(name.strip() for name in COLUMNS)]]
    keys = {(r["task"], -r["slip"], ORDER.index(r["arm"].split("-")[0]), r["steps"], r["arm"]) for r in rows}
    for task, slip, _, steps, arm in sorted(keys):
        group = [r for r in rows if (r["task"], -r["slip"], r["arm"]) == (task, slip, arm)]
        cells = [interval([column(r) for r in group]) for column in COLUMNS.values()]
        name = arm.split("-")[0].replace("_", " ")
        lines.append([task.removeprefix("wmenv/"), f"{-slip:g}", str(len(group)), name, str(steps), *cells])
    return lines


def interval(values: Sequence[float | None]) -> str:
    """Mean ± standard error of those that are known; a dash for none."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    spread = f" ± {stdev(known) / len(known) ** 0.5:.2g}" if len(known) > 1 else ""
    middle = mean(known)
    return (f"{middle:,.0f}" if abs(middle) >= 1000 else f"{middle:.3g}") + spread
