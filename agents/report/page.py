"""The page at the end of a demo: one self-contained HTML file that says in plain sentences what was done and found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from . import charts, html
from .charts import number
from .dreams import Media, clips_section, curve_section, horizon_section, policy_section
from .returns import returns_section, verdict
from .tuning import two_judges


def write_report(folder: str | Path, report: Mapping[str, Any], media: Media) -> Path:
    """Writes `report.json` and `report.html`.

    Args:
        folder: Must exist.
        report: JSON values, see `agents.demo`.
        media: Films or curves.

    Returns:
        The page.
    """
    folder = Path(folder)
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")
    page = folder / "report.html"
    page.write_text(render(report, media), encoding="utf-8")
    return page


def render(report: Mapping[str, Any], media: Media) -> str:
    """The page as HTML."""
    task = report["task"].removeprefix("wmenv/")
    sections = [
        _head(report, task),
        returns_section(report),
        policy_section(report, media),
        clips_section(report, media),
        horizon_section(report),
        curve_section(report),
        _alignment(report),
        _speed(report),
        _how(report),
    ]
    return html.document(f"{task}: learned in dreams", sections)


def _head(report: Mapping[str, Any], task: str) -> str:
    speed, wall = report["speed"], report["wall_seconds"]
    seen = "camera frames" if report["modality"] == "frames" else "the state"
    tiles = [
        (f"{report['real_steps']:,}", f"real steps recorded{_how_recorded(report)}"),
        (f"{report['policy_steps']:,}", "steps dreamed by PPO, none of them real"),
        (charts.duration(wall["total"]), f"for everything, on {_machine(report)}"),
        (f"{number(speed['ratio'])}×", f"as many steps a second in dreams as on the real task with {seen}"),
    ]
    cells = "".join(f"<div><b>{escape(value)}</b><span>{escape(text)}</span></div>" for value, text in tiles)
    return (
        f'<p class="kicker">{escape(task)} · seed {report["seed"]} · from {seen}</p>\n'
        "<h1>This agent learned in dreams, and was tested awake</h1>\n"
        f'<p class="lede">{verdict(report)}</p>\n'
        f'<div class="tiles">{cells}</div>'
    )


def _how_recorded(report: Mapping[str, Any]) -> str:
    if len(report["rounds"]) > 1:
        return f", in {len(report['rounds'])} rounds"
    known = {"random": ", with random actions", "explore": ", with random actions, gentle and violent"}
    return known.get(report["behaviour"], "")


def _alignment(report: Mapping[str, Any]) -> str:
    found, head = report["alignment"], "<h2>What does physics say of the dreams?</h2>\n"
    if found is None:
        return ""
    if "why_not" in found:
        return f"{head}<p>Nothing this time: {escape(found['why_not'])}.</p>"
    before, after = (100 * found[when]["V"]["violations"] for when in ("before", "after"))
    real = f"; of recorded frames {100 * found['real']['V']['violations']:.1f}% do" if found["real"] else ""
    return (
        f"{head}<p>MuJoCo graded dreams of the model, and {found['updates']} short rounds of PPO tuned a copy of it on "
        f"the grades (<code>aligned</code>, beside the model; nothing above uses it). {before:.1f}% of the dreamed "
        f"frames looked like no real one before, and {after:.1f}% after{real}. <code>wmenv align</code> does it at "
        f"length.</p>\n{two_judges(found, level=3)}"
    )


def _speed(report: Mapping[str, Any]) -> str:
    speed, wall = report["speed"], report["wall_seconds"]
    stages = {name: seconds for name, seconds in wall.items() if name != "total"}
    seen = "drawing and all" if report["modality"] == "frames" else "without drawing"
    return (
        "<h2>Where did the time go?</h2>\n"
        f"<p>{charts.duration(wall['total'])} in all, on {escape(_machine(report))}; at most "
        f"{report['peak_memory_gib']:.1f} GiB of memory. The real task makes {speed['real_camera_fps']:,.0f} steps a "
        f"second, {seen}; {speed['num_dreams']} dreams together make {speed['dream_fps']:,.0f}.</p>\n"
        f"<figure>{charts.stage_bar(stages)}</figure>"
    )


def _how(report: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{escape(name)} {escape(str(version))}" for name, version in report["versions"].items())
    commands = "\n".join(escape(line) for line in report["commands"])
    return (
        f"<h2>Do it again</h2>\n<p>The numbers on this page are in <code>report.json</code>; data set, world model and "
        f"policy lie beside it. One command made it all:</p>\n<pre>{escape(report['command'])}</pre>\n"
        f"<p>or, one step at a time:</p>\n<pre>{commands}</pre>\n<footer>{versions}</footer>"
    )


def _machine(report: Mapping[str, Any]) -> str:
    hardware = report["hardware"]
    cores = f"{hardware['cores']} CPU cores"
    return f"{cores} and a {hardware['gpu']}" if hardware.get("gpu") else f"{cores}, no GPU"
