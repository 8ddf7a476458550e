"""The page of a bench: what each ratio is on each device, in one self-contained file drawn from the stored numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from wmenv import atomic

from ..report import charts, html
from ..report.charts import Line, number
from .plan import RATIOS

KINDS = {"cpu": "CPU", "cuda": "GPU"}
DEVICES = tuple(KINDS)
NOT_MEASURED = "not measured"
ROLES = {"cached": "dream", "ring": "dream", "window": "real", "all": "real", "clone": "plain", "one": "faint"}
"""Colour of a line by the first word of its name."""

FIGURES = {
    "batch": (
        "Many dreams at once", "dreams", "frames a second",
        "Frames that all dreams together make, over the cache and in the ways of others.",
    ),
    "frames": (
        "A long dream", "frames so far", "milliseconds a frame",
        "What the next frame costs after so many: over the cache, and with all frames so far computed anew.",
    ),
    "memory": (
        "What is remembered", "dreams", "MiB of keys and values",
        "Full windows in a ring or in pages of few bits; of branches of one dream the shared frames are kept once.",
    ),
    "quality": (
        "What fewer bits cost", "relative error of the dreamed change", "frames a second",
        "Left: the same dream as over the ring. Up: faster. Each dot is a way to keep keys and values.",
    ),
}  # fmt: skip
"""Title, axes and caption of each chart."""


def write_page(folder: Path) -> Path:
    """Writes `folder/bench.html` from the reports that lie there.

    Returns:
        The page.
    """
    page = folder / "bench.html"
    atomic.write_bytes(page, render(read_reports(folder)).encode())
    return page


def read_reports(folder: Path) -> dict[str, dict[str, Any]]:
    """The reports of a folder by device; a device that was not measured is absent."""
    paths = {device: folder / f"{device}.json" for device in DEVICES}
    return {device: json.loads(path.read_text(encoding="utf-8")) for device, path in paths.items() if path.exists()}


def render(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as HTML."""
    sections = [_head(reports), _summary(reports)]
    for report in reports.values():
        sections += [*_figures(report), _rows(report)]
    sections.append(_how(reports))
    return html.document("How fast dreams are", sections)


def summary(reports: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The header and a line for each part of each ratio: what it compares, and what each device showed."""
    named = [machine(reports[device]) if device in reports else KINDS[device] for device in DEVICES]
    lines = []
    for name, what in RATIOS.items():
        parts = dict.fromkeys(row["part"] for report in reports.values() for row in report["rows"] if row["id"] == name)
        for part in parts or [what]:
            lines.append([name, part, *(_told(name, part, reports.get(device)) for device in DEVICES)])
    return ["id", "ratio", *named], lines


def machine(report: Mapping[str, Any]) -> str:
    """A report's machine in a few words."""
    hardware = report["hardware"]
    return (
        hardware["gpu"] if report["name"] == "cuda" else f"{hardware['cores']} CPU core{'s'[: hardware['cores'] > 1]}"
    )


def _told(name: str, part: str, report: Mapping[str, Any] | None) -> str:
    """The range of the part's rows that have a target, and how many reach it; else of all."""
    rows = [row for row in report["rows"] if (row["id"], row["part"]) == (name, part)] if report else []
    aimed = [row for row in rows if row["target"] is not None]
    if not rows:
        return f"failed: {report['failed'][name]}" if report and name in report["failed"] else NOT_MEASURED
    values = [row["value"] for row in aimed or rows]
    ends, unit = dict.fromkeys(map(number, (min(values), max(values)))), rows[0]["unit"]
    text = " to ".join(ends) + ("×" if unit == "x" else f" {unit}")
    if not aimed:
        return text
    targets = ", ".join(dict.fromkeys(row["target"] for row in aimed))
    return f"{text}; {targets} in {sum(row['reached'] for row in aimed)} of {len(aimed)}"


def _head(reports: Mapping[str, Mapping[str, Any]]) -> str:
    aimed = [row for report in reports.values() for row in report["rows"] if row["target"] is not None]
    reached = sum(row["reached"] for row in aimed)
    devices = " and ".join(machine(report) for report in reports.values())
    absent = [kind for device, kind in KINDS.items() if device not in reports]
    lede = f"Of {len(aimed)} measurements that have a target, <b>{reached}</b> reach it, on {escape(devices)}."
    lede += f" {absent[0]}: {NOT_MEASURED}." if absent else ""
    return (
        '<p class="kicker">the engine under a dream</p>\n<h1>How fast dreams are, and what that costs them</h1>\n'
        f'<p class="lede">{lede}</p>\n'
        "<p>Each ratio is between two ways of doing the same work over the same weights, run in turn in one process. "
        "The other ways are those of other projects, written anew over our networks.</p>"
    )


def _summary(reports: Mapping[str, Mapping[str, Any]]) -> str:
    head, lines = summary(reports)
    said = "<p>The least and the largest of all sizes; where some have a target, of those, and how many reach it.</p>"
    return f"<h2>The ratios</h2>\n{said}\n{html.table(head, lines, words=True)}"


def _figures(report: Mapping[str, Any]) -> Iterator[str]:
    """A chart for each preset, under the heading of what it shows."""
    points = report["points"]
    for chart, (title, x_label, y_label, caption) in FIGURES.items():
        figures = []
        for preset in dict.fromkeys(point[2] for point in points if point[1] == chart):
            lines = _lines([point for point in points if point[1:3] == [chart, preset]])
            drawn = charts.line_chart(
                lines, x_label=x_label, y_label=y_label, logarithmic=True, right=190, title=f"{title}, {preset}"
            )
            figures.append(f"<figure>{drawn}<figcaption>{caption} Network: {escape(preset)}.</figcaption></figure>")
        if figures:
            yield f"<h2>{title}, on {escape(machine(report))}</h2>\n" + "\n".join(figures)


def _lines(points: Sequence[Sequence[Any]]) -> list[Line]:
    lines = []
    for name in dict.fromkeys(point[3] for point in points):
        ends = sorted(point[4:] for point in points if point[3] == name)
        x, y = zip(*ends, strict=True)
        role = ROLES.get(name.split()[0].rstrip(","), "plain")
        lines.append(Line(name=name, x=x, y=y, role=role, dashed="S=4" in name or "int" in name))
    return lines


def _rows(report: Mapping[str, Any]) -> str:
    head = ["id", "part", "setting", "value", "unit", "quartiles", "target", "reached", "error"]
    lines = []
    for row in report["rows"]:
        ends = f"{number(row['low'])} to {number(row['high'])}"
        aim, error = row["target"] or "", "" if row["error"] is None else f"{row['error']:.1e}"
        reached = {None: "", True: "yes", False: "no"}[row["reached"]]
        lines.append(
            [row["id"], row["part"], row["setting"], number(row["value"]), row["unit"], ends, aim, reached, error]
        )
    title = f"Every measurement on {escape(machine(report))}"
    return f"<details><summary>{title}</summary>{html.table(head, lines)}<p>{escape(report['notes'])}</p></details>"


def _how(reports: Mapping[str, Mapping[str, Any]]) -> str:
    parts = []
    for report in reports.values():
        hardware = report["hardware"]
        said = f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB"
        said += f", {hardware['gpu'] or 'no GPU'}"
        versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
        parts.append(f"<p>{escape(said)}; {escape(versions)}.</p>\n<pre>{escape(report['command'])}</pre>")
    return "<h2>Do it again</h2>\n" + "\n".join(parts)
