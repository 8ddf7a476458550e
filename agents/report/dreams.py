"""The page's dreams: films beside reality, how far they can be trusted, and how the policy learned in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import charts
from .charts import Line, number
from .media import mp4_uri, png_uri, side_by_side

STRIP_STEPS = (0, 5, 10, 15, 20, 30, 40, 49)
MIN_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """The same start and the same actions in reality and in the dream.

    Attributes:
        real: (T, H, W, 3) uint8 camera frames; frame 0 is the common start.
        dreamed: (T', H, W, 3) uint8; fewer if the model says that the episode ends earlier.
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
        dreamed: (T', K), see `Clip`.
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


def policy_section(report: Mapping[str, Any], media: Media) -> str:
    """The trained policy at work."""
    if media.policy_film is None:
        return ""
    scale = max(1, 384 // media.policy_film.shape[1])
    film = media.policy_film.repeat(scale, axis=1).repeat(scale, axis=2)
    if report["modality"] == "frames":
        sees = "This is all it sees: the world model’s encoder turns each picture into a few numbers, and the policy "
        sees += "reads those."
    else:
        sees = "It sees no picture: the policy reads the robot’s state, as the world model’s encoder lays it out."
    return (
        f"<h2>Watch it</h2>\n<p>The agent on the real task, in one of the episodes above. {sees}</p>\n"
        f'<figure style="max-width:384px">{_video(mp4_uri(film, media.fps))}</figure>'
    )


def clips_section(report: Mapping[str, Any], media: Media) -> str:
    """Dream and reality side by side."""
    if not media.clips and not media.traces:
        return ""
    sides = "Left, the simulator; right, the model" if media.clips else "Plain, the simulator; dashed, the model"
    parts = [
        "<h2>What does a dream look like?</h2>\n<p>Both begin at the same moment of an episode that the model was "
        f"never trained on, and get the same actions. {sides}, which after the start sees nothing but the actions "
        "and must imagine the rest.</p>"
    ]
    for clip in media.clips:
        film = side_by_side(clip.real, clip.dreamed)
        slower = slow_motion(len(film) / media.fps)
        speed = "" if slower == 1 else f", shown {slower} times slower"
        parts.append(
            '<figure><div class="pair"><span>real</span><span>dreamed</span></div>'
            f"{_video(mp4_uri(film, media.fps / slower))}<figcaption>{len(film) / media.fps:.1f} s{speed}; "
            f"{escape(clip.actions)}.{_early_end(clip, 'its last frame stays, faded')}</figcaption></figure>"
        )
    if media.clips:
        parts.append(_strip(media.clips[0], media.fps))
    for trace in media.traces:
        caption = escape(trace.actions[:1].upper() + trace.actions[1:])
        parts.append(f"<p>{caption}.{_early_end(trace, 'its curves end there')}</p>")
        parts += [_trace(trace, k, media.fps) for k in range(len(trace.names))]
    return "\n".join(parts)


def slow_motion(seconds: float) -> int:
    """How many times slower a film is shown, so that a second's worth of it can be followed; at most 4."""
    return min(4, max(1, math.ceil(MIN_SECONDS / seconds)))


def _strip(clip: Clip, fps: float) -> str:
    steps = [step for step in STRIP_STEPS if step < max(len(clip.real), len(clip.dreamed))]
    columns = f"grid-template-columns:4.2em repeat({len(steps)},1fr)"
    cells = []
    for name, frames in (("real", clip.real), ("dreamed", clip.dreamed)):
        cells.append(f'<span class="side">{name}</span>')
        cells += [
            f'<img alt="{name}, step {step}" src="{png_uri(frames[step])}">'
            if step < len(frames)
            else "<span>over</span>"
            for step in steps
        ]
    cells.append('<span class="side">step</span>')
    cells += [f"<span>{step}</span>" for step in steps]
    return (
        f'<figure><div class="strip" style="{columns}">{"".join(cells)}</div>'
        f"<figcaption>The first film, step by step; a step takes {1000 / fps:.0f} ms.</figcaption></figure>"
    )


def _trace(trace: Trace, k: int, fps: float) -> str:
    chart = charts.line_chart(
        [
            Line(name="real", x=_seconds(trace.real, fps), y=trace.real[:, k].tolist(), role="real"),
            Line(
                name="dreamed",
                x=_seconds(trace.dreamed, fps),
                y=trace.dreamed[:, k].tolist(),
                role="dream",
                dashed=True,
            ),
        ],
        x_label="seconds since the common start",
        y_label=trace.names[k],
        height=190,
    )
    return f"<figure>{chart}</figure>"


def _seconds(values: NDArray[np.float32], fps: float) -> list[float]:
    return [t / fps for t in range(len(values))]


def _early_end(shown: Clip | Trace, look: str) -> str:
    """What is said of a dream that ends before the real episode does."""
    steps = len(shown.dreamed) - 1
    return f" The model takes it to be over after {steps} steps; {look}." if steps < len(shown.real) - 1 else ""


def horizon_section(report: Mapping[str, Any]) -> str:
    """Error against horizon."""
    errors = report["horizon_error"]
    if not errors:
        return ""
    names = {
        "copy_last": ("copy the last", "faint", False),
        "linear": ("linear model", "plain", False),
        "one_dream": ("one dream", "dream", True),
        "dream": ("mean of dreams", "dream", False),
    }
    top = 1.25 * max(max(errors[key]) for key in names if key in errors and key != "linear")
    lines = []
    for key, (name, role, dashed) in names.items():
        # an unstable linear model soon errs by millions; its curve ends where it leaves the picture
        inside = next((i for i, y in enumerate(errors.get(key, ())) if y > top), None)
        x, y = errors["horizons"][:inside], errors.get(key, [])[:inside]
        if y:
            lines.append(Line(name=name, x=x, y=y, role=role, dashed=dashed))
    chart = charts.line_chart(
        lines, x_label="steps dreamed since the start", y_label=str(errors.get("unit", "error")), from_zero=True
    )
    return (
        "<h2>How long can it be trusted?</h2>\n<p>A dream drifts: errors feed on errors. This is how far dream and "
        "reality are apart (root mean square) after so many steps, on episodes that the model was never trained on. "
        "Two cheap guesses stand beside it: that nothing changes any more, and a linear model fitted to the same data. "
        "Like the linear model, the dream answers with an average, here of dreams whose starts differ as much as the "
        "model errs in one step; a single dream, dashed, is one of the things that could happen. "
        f"{_below(errors)}</p>\n<figure>{chart}</figure>"
    )


def _below(errors: Mapping[str, Any]) -> str:
    """How far the dreams are better than both guesses."""
    reach = [
        f"{name} {_reach(errors, key)}"
        for key, name in (("dream", "the mean of dreams is below both"), ("one_dream", "a single dream"))
        if key in errors
    ]
    return "A world model should stay below both: " + ", ".join(reach) + "."


def _reach(errors: Mapping[str, Any], key: str) -> str:
    rivals = [errors[name] for name in ("copy_last", "linear") if name in errors]
    for step, own, *others in zip(errors["horizons"], errors[key], *rivals, strict=True):
        if own >= min(others):
            return f"up to step {step - 1}"
    return f"at every step up to {errors['horizons'][-1]}"


def curve_section(report: Mapping[str, Any]) -> str:
    """How the policy learned."""
    curve = report.get("learning_curve") or {}
    lines = [Line(name="in dreams", x=curve["steps"], y=curve["returns"], role="dream")] if curve.get("steps") else []
    real = report.get("real_learning_curve") or {}
    if not lines:
        return ""
    chart = charts.line_chart(lines, x_label="dreamed steps of the policy", y_label="return of a dreamed episode")
    page = (
        "<h2>How did it learn?</h2>\n<p>The return of the dreamed episodes while PPO learned in them. A dreamed "
        f"episode is cut after {report['dream_horizon']} steps and may begin at any recorded moment, so these numbers "
        f"cannot be compared with those above. {_trend(curve['returns'])}{_belief(report)}{_rounds(report)}</p>\n"
        f"<figure>{chart}</figure>"
    )
    if len(real.get("steps", ())) > 2:
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


def _rounds(report: Mapping[str, Any]) -> str:
    """What each round's policy reached on the real task."""
    chosen, count = "", report["policies"]
    if count > 1:
        chosen = (
            f" In each round {count} policies learned like this, from as many seeds; in the next recording "
            "the best of them met the one from before, and the better went on: its learning is drawn."
        )
    elif len(report["rounds"]) > 1:
        chosen = (
            " Each round's policy met the one from which it began in the next recording, and the better went on: its "
            "learning is drawn."
        )
    if len(report["rounds"]) < 2:
        return chosen
    reached = [f"{number(done['mean'])} after {done['real_steps']:,} real steps" for done in report["rounds"]]
    return f"{chosen} On the real task each round's policy reached, in turn: {', '.join(reached)}."


def _trend(returns: Sequence[float]) -> str:
    tenth = max(1, len(returns) // 10)
    first, last = (sum(part) / tenth for part in (returns[:tenth], returns[-tenth:]))
    return f"From the first tenth of the training to the last they went from {number(first)} to {number(last)}."


def _belief(report: Mapping[str, Any]) -> str:
    dreamed = report.get("dream_return")
    if not dreamed:
        return ""
    return (
        f" Asked about whole episodes from their first moment, the dream promised {number(dreamed['mean'])}; "
        f"reality gave {number(report['returns']['dream']['mean'])}."
    )


def _video(uri: str) -> str:
    return f'<video src="{uri}" autoplay loop muted playsinline controls></video>'
