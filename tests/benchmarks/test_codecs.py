"""The table of what codecs cost compares agents of one seed, the most bytes first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import codecs_table, readme


def row(codec: str, seed: int, earned: float, stored: int) -> dict[str, Any]:
    return {
        "task": "wmenv/Toy-v0", "seed": seed, "codec": codec, "cache_bytes": stored,
        "command": "python -m benchmarks.codecs",
        "real_return": {"mean": earned, "sem": 1.0}, "zero_return": {"mean": -10.0, "sem": 0.0},
        "hardware": {"cpu": "Test", "cores": 2, "memory_gib": 8, "gpu": None},
    }  # fmt: skip


def test_gains_are_shares_of_the_exact_one_of_the_same_seed(tmp_path: Path) -> None:
    rows = [row("int8", 0, 80.0, 17), row("fp32", 0, 90.0, 64), row("int8", 1, 30.0, 17), row("fp32", 1, 0.0, 64)]
    rows += [row("fp32", 1, 40.0, 62), row("int2", 2, 5.0, 6)]  # the later of two rows counts; one has no rival
    path = tmp_path / "codecs.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    header, *lines = codecs_table.table(codecs_table.load(path))
    assert [line[1:4] for line in lines] == [["2", "fp32", "63"], ["2", "int8", "17"], ["1", "int2", "6"]]
    cells = [dict(zip(header, line, strict=True)) for line in lines]
    assert [c["return"] for c in cells] == ["65 ± 25", "55 ± 25", "5"]
    assert [c["gain, of float32's"] for c in cells] == ["100 ± 0%", "85 ± 5%", "–"]
    assert "Toy-v0" in readme.study_block("codecs", path)
