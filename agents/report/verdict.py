"""The verifier's verdict as a picture: the film strip with what is wrong marked, and the signals below it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from physics import SIGNALS, MotionClip, MotionVerifier, PhysicsReport, film
from wmenv import InputError, atomic

from . import charts
from .charts import Line
from .media import png_uri

WIDTH, MARGIN, PICTURES, PIXELS = 720, 20, 9, 128
SHOWN = 3  # signals drawn
TALLEST = 100.0  # of what is drawn: beyond it more tells a person nothing
MARKED = 0.3  # of the worst frame's score: frames as bad as that get a red border
ROLES = ("real", "plain", "faint")
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #222 } .title { font-size: 17px; font-weight: 600 }
.tick { font-size: 11px; fill: #666 } .axis { font-size: 12px; fill: #666 } .end { text-anchor: end }
.mid { text-anchor: middle } .grid { stroke: #ddd } .curve { fill: none; stroke-width: 2 }
.curve.dream { stroke: #c2410c } .dot.dream, .label.dream { fill: #c2410c }
.curve.real { stroke: #1d4ed8 } .dot.real, .label.real { fill: #1d4ed8 }
.curve.plain { stroke: #555 } .dot.plain, .label.plain { fill: #555 }
.curve.faint { stroke: #aaa } .dot.faint, .label.faint { fill: #888 }
.good { stroke: #bbb } .bad { stroke: #dc2626; stroke-width: 3 } .says { fill: #b91c1c }
"""


def verify(clip: MotionClip | str | Path, out: str | Path, *, noise: float = 0.02) -> PhysicsReport:
    """Judges a clip and draws why.

    Args:
        clip: A clip, or the file that `MotionClip.save` wrote.
        out: Folder; gets verdict.svg and verdict.json.
        noise: Size of the errors that the clip's states are expected to have, in spreads of real states.

    Returns:
        The report.

    Raises:
        ClipError: The file is missing or damaged, or the clip is of another robot.
        InputError: `out` is a file.
        TaskError: There is no such task.
    """
    clip = clip if isinstance(clip, MotionClip) else MotionClip.load(clip)
    verifier = MotionVerifier(clip.task, noise=noise)
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out: expected a folder that can be made, got {str(out)!r}: {error.strerror}") from error
    report = verifier.verify_one(clip)
    atomic.write_json(out / "verdict.json", to_dict(report))
    atomic.write_bytes(out / "verdict.svg", drawing(clip, report).encode())
    return report


def to_dict(report: PhysicsReport) -> dict[str, Any]:
    """The report for JSON."""
    return {
        "task": report.task,
        "plausible": report.plausible,
        "clip_score": report.clip_score,
        "fired": list(report.fired),
        "sentences": list(report.sentences),
        "diverged_at": report.diverged_at,
        "score": report.score.tolist(),
        "signals": {name: {"unit": SIGNALS[name].unit, "values": v.tolist()} for name, v in report.signals.items()},
        "scores": {name: value.tolist() for name, value in report.scores.items()},
    }


def drawing(clip: MotionClip, report: PhysicsReport) -> str:
    """A self-contained SVG."""
    at = np.unique(np.linspace(0, clip.frames - 1, min(PICTURES, clip.frames)).astype(int))
    pictures = film(clip, list(at), PIXELS)
    side = (WIDTH - 2 * MARGIN) / len(at)
    verdict = "could be real" if report.plausible else "is not physics"
    parts = [_text("title", MARGIN, 26, f"{clip.task}: {verdict}")]
    scored = f"the clip scores {report.clip_score:.2g}; at least 95 of 100 real clips are below 1"
    parts.append(_text("axis", MARGIN, 46, scored))
    sentences = report.sentences[:SHOWN]
    parts += [_text("says", MARGIN, 68 + 18 * i, says) for i, says in enumerate(sentences)]
    top = 60 + 18 * len(sentences)
    marked = max(1.0, MARKED * min(TALLEST, float(report.score.max())))
    for i, (frame, picture) in enumerate(zip(at, pictures, strict=True)):
        following = at[i + 1] if i + 1 < len(at) else clip.frames
        kind = "bad" if report.score[frame:following].max() > marked else "good"
        x = MARGIN + i * side
        box = f'x="{x:.1f}" y="{top}" width="{side - 4:.1f}" height="{side - 4:.1f}"'
        parts.append(f'<image {box} href="{png_uri(picture)}"/><rect class="{kind}" fill="none" {box}/>')
        parts.append(_text("tick mid", x + side / 2 - 2, top + side + 12, f"frame {frame}"))
    chart_top, height = top + side + 30, 260
    chart = _chart(report, height)
    inside = f'x="{MARGIN}" y="{chart_top:.0f}" width="{WIDTH - 2 * MARGIN}" height="{height}"'
    parts.append(f"<svg {inside}>{chart}</svg>")
    total = chart_top + height + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total:.0f}" width="{WIDTH}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _chart(report: PhysicsReport, height: int) -> str:
    """The score and the signals that fired most, in units of real clips; on a clip that is fine the largest ones."""
    frames = list(range(len(report.score)))
    order = sorted(report.scores, key=lambda name: -float(report.scores[name].mean()))
    shown = [name for name in report.fired if name in report.scores] or order
    lines = [Line(name="score", x=frames, y=np.minimum(report.score, TALLEST).tolist(), role="dream")]
    for name, role in zip(shown, ROLES, strict=False):
        values = np.minimum(report.scores[name], TALLEST).tolist()
        lines.append(Line(name=name.replace("_", " "), x=frames, y=values, role=role))
    lines.append(Line(name="as good as real", x=[0, frames[-1]], y=[1.0, 1.0], role="faint", dashed=True))
    label = "in units of the 95th percentile of real clips"
    return charts.line_chart(lines, x_label="frame", y_label=label, height=height, from_zero=True)


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
