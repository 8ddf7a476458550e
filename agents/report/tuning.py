"""The page that `wmenv align` writes: what a tuned model gained and lost, from `align.json` alone."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from . import charts, html
from .charts import Line, number

STAGES = ("before", "after", "real")  # of real clips there may be none that are long enough


def render(content: Mapping[str, Any]) -> str:
    """The page as HTML; `content` is what `agents.tune.tune` returns."""
    task = content["task"].removeprefix("wmenv/")
    sections = [_head(content, task), _figures(content), two_judges(content), _fired(content), _horizon(content)]
    sections.append(_how(content))
    return html.document(f"{task}: tuned by physics", sections)


def _head(content: Mapping[str, Any], task: str) -> str:
    kicker = f'<p class="kicker">{escape(task)} · {escape(content["method"])} · seed {content["seed"]}</p>\n'
    before, after = content["before"], content["after"]
    lede = (
        f"Of the frames that the model dreams, {_share(before['V']['violations'])} looked like none of the real ones "
        f"to the verifier before, and <b>{_share(after['V']['violations'])}</b> do now. To a judge that it never "
        f"saw they were {_share(before['J']['violations'])} and are <b>{_share(after['J']['violations'])}</b>."
    )
    return f'{kicker}<h1>A dream, tuned by physics</h1>\n<p class="lede">{lede}</p>'


def two_judges(content: Mapping[str, Any], level: int = 2) -> str:
    """What V and J say before and after, and of real clips, under a headline of the `level`."""
    stages, rows = [stage for stage in STAGES if content[stage].get("J")], []
    for key, says in (
        ("violations", "frames that no real one looks like"),
        ("plausible", "clips that could be real"),
    ):
        cells = [_share(content[when][world][key]) for world in ("V", "J") for when in stages]
        rows.append([says, *cells])
    rows.append(
        ["clip score, median (1: as good as real)"]
        + [number(content[w][world]["clip_score"]["median"]) for world in ("V", "J") for w in stages]
    )
    head = ["", *(f"{world} {stage}" for world in ("V", "J") for stage in stages)]
    who = "V judges by the constants that dreams were rewarded by, with all its signals; J has others of its own, and "
    who += "never rewards. "
    if "real" in stages:
        who += "Real: recorded clips that neither was made of, the best that a dream can be. "
    who += f"Clips that could be real to V, less those to J, after tuning: {100 * content['after']['gap']:+.0f} points."
    return f"<h{level}>Two judges</h{level}>\n<p>{who}</p>\n{html.table(head, rows)}"


def _fired(content: Mapping[str, Any]) -> str:
    before, after = content["before"]["V"]["fired"], content["after"]["V"]["fired"]
    names = sorted({*before, *after}, key=lambda name: (-before.get(name, 0.0), name))
    rows = [[name.replace("_", " "), _share(before.get(name, 0)), _share(after.get(name, 0))] for name in names]
    said = "<p>Clips in which a signal of V went beyond what real clips show.</p>"
    return f"<h2>What is wrong with them</h2>\n{said}\n{html.table(['signal', 'before', 'after'], rows)}"


def _figures(content: Mapping[str, Any]) -> str:
    says = {
        "kept_loss": "loss on held-out real data",
        "energy": "motion, in units of real clips'",
        "sensitivity": "sensitivity to the action, in usual changes",
        "diversity": "diversity, in units of real clips'",
    }
    rows = [
        [text, *(number(content[when]["figures"][name]) for when in ("before", "after"))] for name, text in says.items()
    ]
    return f"<h2>What must not be lost</h2>\n{html.table(['', 'before', 'after'], rows)}"


def _horizon(content: Mapping[str, Any]) -> str:
    lines = [
        Line(name=when, x=content[when]["horizon"]["horizons"], y=content[when]["horizon"]["one_dream"], role=role)
        for when, role in (("before", "plain"), ("after", "dream"))
    ]
    chart = charts.line_chart(lines, x_label="step", y_label="error on held-out real clips, 1: guessing the mean")
    return f"<h2>How far it can be trusted</h2>\n<figure>{chart}</figure>"


def _how(content: Mapping[str, Any]) -> str:
    machine = content["hardware"]
    hardware = f"{machine['cpu']}, {machine['cores']} cores, {machine['gpu'] or 'no GPU'}"
    options = ", ".join(f"{name} {value}" for name, value in content["config"].items())
    return (
        f"<footer><p>{charts.duration(content['wall_seconds'])} on {escape(hardware)}.</p>"
        f"<details><summary>Options</summary><p>{escape(options)}</p></details></footer>"
    )


def _share(value: float) -> str:
    return f"{100 * value:.1f}%"
