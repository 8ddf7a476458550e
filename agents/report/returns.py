"""The page's returns: how good each policy is on the real task, and what may be said about it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from . import charts
from .charts import Interval, number

ARMS = {
    "random": "random actions",
    "zero": "no action at all",
    "real_equal_steps": "PPO, same real steps",
    "dream": "PPO in dreams",
    "real_equal_policy_steps": "PPO, real, as many steps",
}
ROLES = {"random": "faint", "zero": "faint", "real_equal_steps": "real", "dream": "dream"}


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
            f"PPO with {_steps(report):,} steps on the real task itself, {_times(report)} as many as were "
            f"recorded here, earns {number(most['mean'])}; on the way there from {number(floor['mean'])}, the dreams "
            f"came {share:.0%} far."
        )
    return text.strip()


def returns_section(report: Mapping[str, Any]) -> str:
    """How good each policy is, as a chart and as a table."""
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
            "<code>make results</code> makes one, in hours rather than minutes."
        )
    else:
        remark = f"The last row takes long and was not run now: it comes from {escape(str(most['source']))}."
    return (
        "<h2>How good is it on the real task?</h2>\n"
        f"<p>Each policy plays the same {report['returns']['dream']['episodes']} episodes of the real simulator, from "
        "the same starts, each to its end. A pale dot is one episode, the large dot their mean, the bar its 95% "
        "interval. Further right is better.</p>\n"
        f"<figure>{chart}<figcaption>“Same real steps” is PPO trained on the real task for the "
        f"{report['real_steps']:,} steps that were recorded here, seeing the same observations. {remark}"
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


def _interval(result: Mapping[str, Any]) -> tuple[float, float]:
    if result.get("ci95"):
        return tuple(result["ci95"])
    spread = 1.96 * (result["sem"] or 0.0)
    return result["mean"] - spread, result["mean"] + spread


def _above(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the difference of the means is clear: beyond 1.96 of its standard errors, as far as these are known."""
    if one["sem"] is None or other["sem"] is None:
        return False
    spread = (one["sem"] ** 2 + other["sem"] ** 2) ** 0.5
    return one["mean"] - other["mean"] > 1.96 * spread


def _times(report: Mapping[str, Any]) -> str:
    return f"{_steps(report) / report['real_steps']:.0f} times"


def _steps(report: Mapping[str, Any]) -> int:
    """Real steps of the stored rival: those of its own runs, which may not be as many as were dreamed here."""
    return report["returns"]["real_equal_policy_steps"].get("steps") or report["policy_steps"]
