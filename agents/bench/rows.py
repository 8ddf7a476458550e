"""What a measurement hands back: rows of a table, and points of charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .plan import Plan
from .store import rounded
from .timing import spread, timed

Row = dict[str, Any]


class Point(NamedTuple):
    """One point of a line of the page's charts, of which there is one for each preset."""

    chart: str
    preset: str
    line: str
    x: float
    y: float


def line(
    name: str,
    part: str,
    setting: str,
    values: Sequence[float],
    *,
    unit: str = "x",
    plain: float | None = None,
    ours: float | None = None,
    target: float | None = None,
    at_most: bool = False,
    error: float | None = None,
) -> Row:
    """A row of the table, of which the median counts.

    Args:
        name: Id of the ratio.
        part: What is compared.
        setting: Sizes.
        values: One or more measurements, in `unit`.
        unit: "x" of a ratio.
        plain: Milliseconds, or bytes, of the plain way.
        ours: The same of ours.
        target: What was aimed at.
        at_most: Whether the target is a ceiling and not a floor.
        error: Largest difference between what the two ways give, or the relative error of a lossy one.

    Raises:
        ValueError: a number is not finite.
    """
    (low, high), value = spread(values), median(values)
    reached = None if target is None else bool(value <= target if at_most else value >= target)
    row: Row = {"id": name, "part": part, "setting": setting, "value": value, "unit": unit, "low": low, "high": high}
    aim = None if target is None else f"{'<=' if at_most else '>='} {target:g}"
    row |= {"target": aim, "reached": reached, "error": error, "plain": plain, "ours": ours}
    return {key: rounded(entry) for key, entry in row.items()}


def ratio(
    plan: Plan,
    name: str,
    part: str,
    setting: str,
    plain: Callable[[], object],
    ours: Callable[[], object],
    *,
    target: float | None = None,
    error: float | None = None,
) -> Row:
    """How many times as long the plain way takes; both run in turn, and ratios are taken within a round."""
    times = timed({"plain": plain, "ours": ours}, seconds=plan.seconds, device=plan.device)
    ratios = [a / b for a, b in zip(times["plain"], times["ours"], strict=True)]
    sides: Mapping[str, float] = {side: median(values) for side, values in times.items()}
    return line(name, part, setting, ratios, target=target, error=error, **sides)


def largest_difference(one: Tensor, other: Tensor) -> float:
    """The largest difference between two tensors."""
    return float((one.double() - other.double()).abs().max())


def relative(kept: Tensor, true: Tensor) -> float:
    """The error of `kept` relative to `true`, by root mean squares."""
    return float(torch.linalg.vector_norm(kept.double() - true) / torch.linalg.vector_norm(true.double()))
