"""The page of `wmenv align` says what the numbers say, who V and J are, and the same for the same numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from agents.report.tuning import render


def judged(violations: float, **fired: float) -> dict[str, Any]:
    return {"violations": violations, "plausible": 0.5, "clip_score": {"median": 1.5}, "fired": fired}


def stage(violations: float) -> dict[str, Any]:
    figures = {"kept_loss": 0.04, "energy": 0.98, "sensitivity": 0.5, "diversity": 1.0}
    signals = {"skate": 0.25, "replay_8": 1.0, "drift": 1.0, "energy_gain": 0.25, "float": 0.5}
    return {
        "figures": figures, "V": judged(violations, **signals), "J": judged(violations / 2), "gap": -0.034,
        "horizon": {"horizons": [1, 2, 3], "one_dream": [0.1, 0.2, 0.3]},
    }  # fmt: skip


@pytest.fixture
def content() -> dict[str, Any]:
    return {
        "task": "wmenv/Hopper-v0", "method": "rlpf", "seed": 3, "config": {"updates": 240}, "wall_seconds": 75,
        "hardware": {"cpu": "A <CPU>", "cores": 2, "gpu": None},
        "before": stage(0.896), "after": stage(0.721), "real": {"V": judged(0.04), "J": judged(0.09)},
    }  # fmt: skip


def rows(page: str, title: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    table = page.split(f"<h2>{title}</h2>")[1].split("</table>")[0]
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]


def test_what_was_measured_stands_beside_real_clips(content: dict[str, Any]):
    page = render(content)
    assert rows(page, "Two judges")[:2] == [
        ["", "V before", "V after", "V real", "J before", "J after", "J real"],
        ["frames that no real one looks like", "89.6%", "72.1%", "4.0%", "44.8%", "36.0%", "9.0%"],
    ]
    assert "V judges by the constants that dreams were rewarded by" in page and "J has others of its own" in page
    assert "after tuning: -3 points" in page
    assert "A &lt;CPU&gt;, 2 cores, no GPU" in page


def test_without_long_real_clips_there_is_no_column_of_them(content: dict[str, Any]):
    page = render(content | {"real": {}})
    assert rows(page, "Two judges")[0] == ["", "V before", "V after", "J before", "J after"]
    assert "Real: recorded clips" not in page


def test_signals_stand_in_the_order_of_their_shares_and_then_of_their_names(content: dict[str, Any]):
    names = [row[0] for row in rows(render(content), "What is wrong with them")[1:]]
    assert names == ["drift", "replay 8", "float", "energy gain", "skate"]
