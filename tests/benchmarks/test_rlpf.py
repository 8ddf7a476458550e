"""The study of RLPF: every method gets as many verdicts, and tables tell frames from states."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.rlpf import FRAMES_A_ROUND, METHODS, STUDIES, Study, settings
from benchmarks.rlpf_table import COLUMNS, ORDER, SAYS, table


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.task)
def test_every_method_has_as_many_verdicts_and_rounds(study: Study) -> None:
    for name, config in settings(study).items():
        if config is not None:
            assert config.updates == study.updates and config.method == name
            judged = 0 if name == "supervised" else config.starts * config.group * config.frames
            assert judged == 0 or abs(judged / FRAMES_A_ROUND - 1) < 0.15


def test_the_table_knows_every_method() -> None:
    assert set(METHODS) == set(ORDER) == set(SAYS)


def test_the_same_task_from_frames_and_from_states_has_lines_of_its_own() -> None:
    examined = {
        "V": {"violations": 0.5, "plausible": 0.2},
        "J": {"violations": 0.4, "plausible": 0.3},
        "figures": {"kept_loss": 0.1, "energy": 1.0, "diversity": 1.0},
        "horizon": {"one_dream": [0.1, 0.2]},
    }
    row: dict[str, Any] = {"task": "wmenv/Mass-v0", "arm": "none", "examined": examined, "study": {}}
    row |= {"real_return": {"mean": 1.0}, "dreamed_return": {"mean": 3.0}}
    header, felt, seen = table([row, row | {"study": {"obs": "frames"}}])
    assert len(header) == len(felt) == len(COLUMNS) + 3
    assert [line[:3] for line in (felt, seen)] == [
        ["Mass-v0", "1", SAYS["none"]],
        ["Mass-v0, frames", "1", SAYS["none"]],
    ]
    assert felt[3:] == seen[3:] == ["50", "40", "20", "30", "0.1", "1", "1", "0.2", "1", "2"]
