"""The report's charts as plain SVG text: no library, colours by CSS variables, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 720


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One curve.

    Attributes:
        name: Written at its right end.
        x: Abscissas, rising.
        y: Ordinates.
        role: CSS class that gives the colour: "dream", "real", "plain" or "faint".
        dashed: Drawn dashed.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    role: str = "plain"
    dashed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """One row of an interval chart.

    Attributes:
        name: Label at the left.
        mean: Where the dot is.
        low: Left end of its 95% interval.
        high: Right end.
        points: Single episodes, drawn faint.
        role: CSS class that gives the colour.
        note: Text at the right.
    """

    name: str
    mean: float
    low: float
    high: float
    points: Sequence[float] = ()
    role: str = "plain"
    note: str = ""


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    height: int = 300,
    from_zero: bool = False,
    title: str = "",
    logarithmic: bool = False,
    right: float = 150,
) -> str:
    """Curves over a common axis, named at their ends; a line of one point is a dot, with its name beside it.

    Args:
        lines: With finite points.
        x_label: Below the axis.
        y_label: Above the axis.
        height: In units of which the width is 720.
        from_zero: Whether the ordinate begins at 0.
        title: Read aloud by screen readers.
        logarithmic: Both axes; all numbers must be positive.
        right: Room for names.

    Returns:
        An `<svg>` element.
    """
    lines = [_finite(line) for line in lines]
    lines = [line for line in lines if line.x]
    if not lines:
        return '<p class="muted">No measurements.</p>'
    left, top, bottom = 58, 30, 44
    xs = [x for line in lines for x in line.x]
    ys = [y for line in lines for y in line.y] + ([0.0] if from_zero else [])
    scale, labels = (_log_scale, log_labels) if logarithmic else (_scale, tick_labels)
    x_ticks, y_ticks = ticks(min(xs), max(xs), 6), ticks(min(ys), max(ys), 5, around=True)
    if logarithmic:
        x_ticks, y_ticks = log_ticks(min(xs), max(xs)), log_ticks(min(ys), max(ys))
    x_scale = scale(min(xs), max(xs), left, WIDTH - right)
    y_scale = scale(min(y_ticks[0], *ys), max(y_ticks[-1], *ys), height - bottom, top)
    parts = [_text("axis", 0, 14, y_label)]
    for value, text in zip(y_ticks, labels(y_ticks), strict=True):
        y = y_scale(value)
        parts.append(_line("grid", left, y, WIDTH - right, y))
        parts.append(_text("tick end", left - 8, y + 4, text))
    for value, text in zip(x_ticks, labels(x_ticks), strict=True):
        if min(xs) <= value <= max(xs):
            parts.append(_text("tick mid", x_scale(value), height - bottom + 20, text))
    middle = (left + WIDTH - right) / 2
    parts.append(_text("axis mid", middle, height - 4, x_label))
    ends = _spread([y_scale(line.y[-1]) for line in lines], 17, top, height - bottom)
    for line, end in zip(lines, ends, strict=True):
        points = " ".join(f"{x_scale(x):.1f},{y_scale(y):.1f}" for x, y in zip(line.x, line.y, strict=True))
        dash = ' stroke-dasharray="5 5"' if line.dashed else ""
        x = x_scale(line.x[-1])
        parts.append(f'<polyline class="curve {line.role}" points="{points}"{dash}/>')
        parts.append(f'<circle class="dot {line.role}" cx="{x:.1f}" cy="{y_scale(line.y[-1]):.1f}" r="3.5"/>')
        beside = x + 10 if len(line.x) == 1 else WIDTH - right + 12
        parts.append(_text(f"label {line.role}", beside, end + 4, line.name))
    return _svg(height, parts, title or y_label)


def interval_chart(rows: Sequence[Interval], *, x_label: str, title: str = "") -> str:
    """Means with their intervals, one row each, single episodes behind them.

    Args:
        rows: From top to bottom.
        x_label: Below the axis.
        title: Read aloud by screen readers.

    Returns:
        An `<svg>` element.
    """
    if not rows:
        return '<p class="muted">No measurements.</p>'
    left, right, top, step = 232, 84, 8, 44
    height = top + step * len(rows) + 46
    values = [value for row in rows for value in (row.low, row.high, *row.points)]
    marks = ticks(min(values), max(values), 6, around=True)
    scale = _scale(min(values + marks), max(values + marks), left, WIDTH - right)
    bottom = top + step * len(rows)
    parts = []
    for value, text in zip(marks, tick_labels(marks), strict=True):
        x = scale(value)
        parts.append(_line("grid", x, top, x, bottom))
        parts.append(_text("tick mid", x, bottom + 18, text))
    parts.append(_text("axis mid", (left + WIDTH - right) / 2, height - 4, x_label))
    for index, row in enumerate(rows):
        y = top + step * (index + 0.5)
        parts.append(_text(f"row {row.role}", 0, y + 5, row.name))
        for place, point in enumerate(row.points):
            jitter = 9 * math.sin(2.4 * place)  # spread so that equal returns stay visible; no meaning
            parts.append(f'<circle class="episode {row.role}" cx="{scale(point):.1f}" cy="{y + jitter:.1f}" r="2.6"/>')
        parts.append(_line(f"interval {row.role}", scale(row.low), y, scale(row.high), y))
        parts.append(
            f'<circle class="mean {row.role}" cx="{scale(row.mean):.1f}" cy="{y:.1f}" r="6">'
            f"<title>{number(row.mean)} [{number(row.low)}, {number(row.high)}]</title></circle>"
        )
        parts.append(_text(f"value end {row.role}", WIDTH, y + 5, row.note or number(row.mean)))
    return _svg(height, parts, title or x_label)


def stage_bar(seconds: dict[str, float], *, title: str = "") -> str:
    """One bar cut into stages by their share of the time, with a legend in minutes and seconds."""
    total = sum(seconds.values())
    if total <= 0:
        return '<p class="muted">No measurements.</p>'
    parts, x, gap = [], 0.0, 2
    for index, (name, value) in enumerate(seconds.items()):
        width = max(WIDTH * value / total - gap, 0.5)
        parts.append(
            f'<rect class="stage s{index % 8}" x="{x:.1f}" y="0" width="{width:.1f}" height="34" rx="3">'
            f"<title>{escape(name)}: {duration(value)}</title></rect>"
        )
        x += WIDTH * value / total
    for index, (name, value) in enumerate(seconds.items()):
        column, line = index % 3, index // 3
        cx, cy = 240 * column, 62 + 24 * line
        parts.append(f'<rect class="stage s{index % 8}" x="{cx}" y="{cy - 10}" width="11" height="11" rx="2"/>')
        parts.append(_text("row", cx + 19, cy, name))
        parts.append(_text("tick end", cx + 216, cy, duration(value)))
    return _svg(72 + 24 * ((len(seconds) - 1) // 3), parts, title or "time by stage")


def ticks(low: float, high: float, count: int, *, around: bool = False) -> list[float]:
    """Round numbers between `low` and `high`, about `count` of them; with `around`, the first and last enclose both."""
    if not high > low:
        low, high = low - 1, high + 1
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    inner, outer = (math.floor, math.ceil) if around else (math.ceil, math.floor)
    slack = -1e-9 if not around else 1e-9
    first, last = inner(low / step + slack), outer(high / step - slack)
    return [k * step for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten around `low` and `high`, with 2 and 5 times them where there are few."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    factors = (1, 2, 5) if last - first < 3 else (1,)
    between = [factor * 10.0**power for power in range(first, last) for factor in factors]
    return [*between, 10.0**last]


def log_labels(values: Sequence[float]) -> list[str]:
    """Numbers of a logarithmic axis."""
    return [f"{value:,.0f}" if 1 <= value < 1e6 else f"{value:g}".replace("-", "−") for value in values]


def number(value: float) -> str:
    """A number as a person writes it: 1,234 or 12.3 or 0.0123."""
    if value == 0:
        return "0"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
    return text.replace("-", "−")


def tick_labels(values: Sequence[float]) -> list[str]:
    """The round numbers of an axis, each with the digits that tell it from the next."""
    step = min((b - a for a, b in zip(values, values[1:], strict=False)), default=1.0)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += 0 if abs(step * 10**digits - round(step * 10**digits)) < 1e-6 else 1
    return [f"{value:,.{digits}f}".replace("-", "−") if value else "0" for value in values]


def duration(seconds: float) -> str:
    """Seconds as '48 s' or '3 min 05 s'."""
    if seconds < 99.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def _text(role: str, x: float, y: float, text: str) -> str:
    return f'<text class="{role}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _line(role: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{role}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _svg(height: float, parts: list[str], title: str) -> str:
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title, quote=True)}">\n{body}\n</svg>'


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = (high - low) or 1.0
    return lambda value: start + (end - start) * (value - low) / span


def _log_scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    linear = _scale(math.log10(low), math.log10(high), start, end)
    return lambda value: linear(math.log10(value))


def _finite(line: Line) -> Line:
    kept = [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
    x, y = zip(*kept, strict=True) if kept else ((), ())
    return Line(name=line.name, x=x, y=y, role=line.role, dashed=line.dashed)


def _spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The label heights moved apart so that none overlap, each as near to its place as the others let it."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = [places[i] for i in order]
    for _ in range(50):
        for k in range(len(moved) - 1):
            overlap = gap - (moved[k + 1] - moved[k])
            if overlap > 0:
                moved[k] -= overlap / 2
                moved[k + 1] += overlap / 2
        if moved and moved[0] < low:
            moved[0] = low
        if moved and moved[-1] > high:
            moved[-1] = high
    out = [0.0] * len(places)
    for k, i in enumerate(order):
        out[i] = moved[k]
    return out
