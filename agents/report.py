"""The page at the end of a demo: one self-contained HTML file that says in plain sentences what was done and found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import charts
from .charts import Interval, Line, number
from .media import mp4_uri, png_uri, side_by_side

ARMS = {
    "random": "random actions",
    "zero": "no action at all",
    "real_equal_steps": "PPO, same real steps",
    "dream": "PPO in dreams",
    "real_equal_policy_steps": "PPO, real, as many steps",
}
ROLES = {"random": "faint", "zero": "faint", "real_equal_steps": "real", "dream": "dream"}
STRIP_STEPS = (0, 5, 10, 15, 20, 30, 40, 49)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """The same start and the same actions in reality and in the dream.

    Attributes:
        real: (T, H, W, 3) uint8 camera frames; frame 0 is the common start.
        dreamed: (T, H, W, 3) uint8.
        actions: How the actions were chosen, for the caption.
    """

    real: NDArray[np.uint8]
    dreamed: NDArray[np.uint8]
    actions: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """The same as a `Clip` for a model of states: coordinates over time.

    Attributes:
        names: K coordinates.
        real: (T, K) in SI units.
        dreamed: (T, K).
        actions: How the actions were chosen.
    """

    names: Sequence[str]
    real: NDArray[np.float32]
    dreamed: NDArray[np.float32]
    actions: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """What the page shows beside the numbers of report.json.

    Attributes:
        fps: Control steps a second.
        clips: Films of frame models.
        traces: Curves of state models.
        policy_film: The trained policy on the real task, (T, H, W, 3) uint8, or None.
    """

    fps: float
    clips: Sequence[Clip] = ()
    traces: Sequence[Trace] = ()
    policy_film: NDArray[np.uint8] | None = None


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
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    sections = [
        _head(report, task),
        _returns(report),
        _policy(media),
        _clips(report, media),
        _horizon(report),
        _curve(report),
        _speed(report),
        _how(report),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(task)}: learned in dreams</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


def verdict(report: Mapping[str, Any]) -> str:
    """What the returns say, in sentences; no more than the intervals allow."""
    arms = report["returns"]
    dream, floor_name = arms["dream"], max(("random", "zero"), key=lambda name: arms[name]["mean"])
    floor = arms[floor_name]
    text = (
        f"It was trained by PPO in dreams only and earns <b>{number(dream['mean'])}</b> on the real task; "
        f"{ARMS[floor_name]} earn{'' if floor_name == 'random' else 's'} {number(floor['mean'])}. "
    )
    if not _above(dream, floor):
        text += "That is no clear gain: the two lie within the noise of the episodes. "
    equal = arms["real_equal_steps"]
    if equal["mean"] is not None:
        text += f"PPO that learned on the real task from equally many real steps earns {number(equal['mean'])}"
        if _above(dream, equal):
            text += ": from the same experience, dreaming got more. "
        elif _above(equal, dream):
            text += ": from the same experience, learning without dreams got more. "
        else:
            text += "; the difference lies within the noise of the episodes. "
    most = arms["real_equal_policy_steps"]
    if most["mean"] is not None and most["mean"] > floor["mean"]:
        share = (dream["mean"] - floor["mean"]) / (most["mean"] - floor["mean"])
        text += (
            f"PPO with {report['policy_steps']:,} steps on the real task itself, {_times(report)} as many as were "
            f"recorded here, earns {number(most['mean'])}; on the way there from {number(floor['mean'])}, the dreams "
            f"came {share:.0%} far."
        )
    return text.strip()


def _head(report: Mapping[str, Any], task: str) -> str:
    speed, wall = report["speed"], report["wall_seconds"]
    seen = "camera frames" if report["modality"] == "frames" else "the state"
    tiles = [
        (f"{report['real_steps']:,}", "real steps recorded, with random actions"),
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


def _returns(report: Mapping[str, Any]) -> str:
    rows = []
    for arm, name in ARMS.items():
        result = report["returns"][arm]
        if result["mean"] is not None:
            low, high = _interval(result)
            rows.append(
                Interval(
                    name=name,
                    mean=result["mean"],
                    low=low,
                    high=high,
                    points=result.get("returns", ()),
                    role=ROLES.get(arm, "plain"),
                )
            )
    chart = charts.interval_chart(
        rows, x_label="return of an episode on the real task", title="returns on the real task"
    )
    most = report["returns"]["real_equal_policy_steps"]
    if most["mean"] is None:
        remark = (
            f"No result is stored for PPO with {report['policy_steps']:,} real steps on this task; "
            "<code>make bench</code> makes one, in hours rather than minutes."
        )
    else:
        remark = f"The last row takes long and was not run now: it comes from {escape(str(most['source']))}."
    return (
        "<h2>How good is it on the real task?</h2>\n"
        f"<p>Each policy plays the same {report['returns']['dream']['episodes']} episodes of the real simulator, from "
        "the same starts, each to its end. A pale dot is one episode, the large dot their mean, the bar its 95% "
        "interval. Further right is better.</p>\n"
        f"<figure>{chart}<figcaption>“Same real steps” is PPO trained on the real task for the "
        f"{report['real_steps']:,} steps that the world model also had, seeing the same observations. {remark}"
        f"</figcaption></figure>\n{_table(report)}"
    )


def _table(report: Mapping[str, Any]) -> str:
    lines = []
    for arm, name in ARMS.items():
        result = report["returns"][arm]
        if result["mean"] is None:
            cells = ["–", "–", "–", "–"]
        else:
            low, high = _interval(result)
            sem = "–" if result["sem"] is None else number(result["sem"])
            cells = [number(result["mean"]), sem, f"{number(low)} to {number(high)}", str(result["episodes"])]
        values = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f'<tr class="{arm}"><td>{name}</td>{values}</tr>')
    head = "<tr><th>policy</th><th>mean return</th><th>± s.e.m.</th><th>95% interval</th><th>episodes</th></tr>"
    return (
        "<details><summary>The same as a table</summary>"
        f'<div class="scroll"><table>{head}{"".join(lines)}</table></div></details>'
    )


def _policy(media: Media) -> str:
    if media.policy_film is None:
        return ""
    scale = max(1, 384 // media.policy_film.shape[1])
    film = media.policy_film.repeat(scale, axis=1).repeat(scale, axis=2)
    return (
        "<h2>Watch it</h2>\n<p>The agent on the real task, in one of the episodes above. This is all it sees: the "
        "world model’s encoder turns each picture into a few numbers, and the policy reads those.</p>\n"
        f'<figure style="max-width:384px">{_video(mp4_uri(film, media.fps))}</figure>'
    )


def _clips(report: Mapping[str, Any], media: Media) -> str:
    if not media.clips and not media.traces:
        return ""
    sides = "Left, the simulator; right, the model" if media.clips else "Plain, the simulator; dashed, the model"
    parts = [
        "<h2>What does a dream look like?</h2>\n<p>Both begin at the same moment of an episode that the model was never "
        f"trained on, and get the same actions. {sides}, which after the start sees nothing but the actions and must "
        "imagine the rest.</p>"
    ]
    for clip in media.clips:
        film = side_by_side(clip.real, clip.dreamed)
        seconds = len(film) / media.fps
        parts.append(
            f'<figure><div class="pair"><span>real</span><span>dreamed</span></div>{_video(mp4_uri(film, media.fps))}'
            f"<figcaption>{len(film)} frames, {seconds:.1f} s; {escape(clip.actions)}.</figcaption></figure>"
        )
    if media.clips:
        parts.append(_strip(media.clips[0], media.fps))
    for trace in media.traces:
        parts += [_trace(trace, k, media.fps) for k in range(len(trace.names))]
    return "\n".join(parts)


def _strip(clip: Clip, fps: float) -> str:
    steps = [step for step in STRIP_STEPS if step < min(len(clip.real), len(clip.dreamed))]
    columns = f"grid-template-columns:4.2em repeat({len(steps)},1fr)"
    cells = []
    for name, frames in (("real", clip.real), ("dreamed", clip.dreamed)):
        cells.append(f'<span class="side">{name}</span>')
        cells += [f'<img alt="{name}, step {step}" src="{png_uri(frames[step])}">' for step in steps]
    cells.append('<span class="side">step</span>')
    cells += [f"<span>{step}</span>" for step in steps]
    return (
        f'<figure><div class="strip" style="{columns}">{"".join(cells)}</div>'
        f"<figcaption>The first film, step by step; a step takes {1000 / fps:.0f} ms.</figcaption></figure>"
    )


def _trace(trace: Trace, k: int, fps: float) -> str:
    seconds = [t / fps for t in range(len(trace.real))]
    chart = charts.line_chart(
        [
            Line(name="real", x=seconds, y=list(map(float, trace.real[:, k])), role="real"),
            Line(name="dreamed", x=seconds, y=list(map(float, trace.dreamed[:, k])), role="dream", dashed=True),
        ],
        x_label="seconds since the common start",
        y_label=trace.names[k],
        height=190,
    )
    return f"<figure>{chart}</figure>"


def _horizon(report: Mapping[str, Any]) -> str:
    errors = report["horizon_error"]
    if not errors:
        return ""
    names = {"copy_last": ("copy the last", "faint"), "linear": ("linear model", "plain"), "dream": ("dream", "dream")}
    lines = [
        Line(name=name, x=errors["horizons"], y=errors[key], role=role)
        for key, (name, role) in names.items()
        if key in errors
    ]
    chart = charts.line_chart(
        lines, x_label="steps dreamed since the start", y_label=str(errors.get("unit", "error")), from_zero=True
    )
    return (
        "<h2>How long can it be trusted?</h2>\n<p>A dream drifts: errors feed on errors. This is the mean distance "
        "between dream and reality, on episodes that the model was never trained on, after so many steps. Two cheap "
        "guesses stand beside it: that nothing changes any more, and a linear model fitted to the same data. A model "
        f"above either of them would be worthless.</p>\n<figure>{chart}</figure>"
    )


def _curve(report: Mapping[str, Any]) -> str:
    curve = report.get("learning_curve") or {}
    lines = [Line(name="in dreams", x=curve["steps"], y=curve["returns"], role="dream")] if curve.get("steps") else []
    real = report.get("real_learning_curve") or {}
    if not lines:
        return ""
    chart = charts.line_chart(lines, x_label="dreamed steps", y_label="return of a dreamed episode")
    page = (
        "<h2>How did it learn?</h2>\n<p>The return of the dreamed episodes while PPO learned in them. A dreamed "
        f"episode is cut after {report['dream_horizon']} steps and may begin at any recorded moment, so these numbers "
        f"cannot be compared with those above; what counts is that they rise.{_belief(report)}</p>\n"
        f"<figure>{chart}</figure>"
    )
    if real.get("steps"):
        other = charts.line_chart(
            [Line(name="on the real task", x=real["steps"], y=real["returns"], role="real")],
            x_label="real steps",
            y_label="return of a real episode",
            height=220,
        )
        page += (
            f"\n<p>And PPO on the real task, with as many real steps as were recorded:</p>\n<figure>{other}</figure>"
        )
    return page


def _belief(report: Mapping[str, Any]) -> str:
    dreamed = report.get("dream_return")
    if not dreamed:
        return ""
    return (
        f" Asked about whole episodes from their first moment, the dream promised {number(dreamed['mean'])}; "
        f"reality gave {number(report['returns']['dream']['mean'])}."
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


def _video(uri: str) -> str:
    return f'<video src="{uri}" autoplay loop muted playsinline controls></video>'


def _interval(result: Mapping[str, Any]) -> tuple[float, float]:
    if result.get("ci95"):
        return tuple(result["ci95"])
    spread = 1.96 * (result["sem"] or 0.0)
    return result["mean"] - spread, result["mean"] + spread


def _above(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the difference of the means is clear: beyond 1.96 of its standard errors."""
    spread = ((one["sem"] or 0.0) ** 2 + (other["sem"] or 0.0) ** 2) ** 0.5
    return one["mean"] - other["mean"] > 1.96 * spread


def _times(report: Mapping[str, Any]) -> str:
    return f"{report['policy_steps'] / report['real_steps']:.0f} times"


def _machine(report: Mapping[str, Any]) -> str:
    hardware = report["hardware"]
    cores = f"{hardware['cores']} CPU cores"
    return f"{cores} and a {hardware['gpu']}" if hardware.get("gpu") else f"{cores}, no GPU"
