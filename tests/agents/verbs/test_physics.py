"""The physics verbs: what they pass on, and that their results say how they were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import physics
from agents import cli


def test_the_benchmark_says_how_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: dict[str, Any] = {}

    def run(config: physics.BenchConfig, out: Path, progress: object, about: dict[str, Any]) -> list[dict[str, Any]]:
        seen.update(about, config=config)
        return []

    monkeypatch.setattr(physics, "run_verifierbench", run)
    tasks = ["wmenv/Hopper-v0", "wmenv/Reacher-v0"]
    typed = ["verifierbench", "--noise", "0.02", "--clips", "9", "--tasks", *tasks, "--out", str(tmp_path)]
    assert cli.main(typed) == 0
    assert seen["config"] == physics.BenchConfig(tasks=tuple(tasks), noise=(0.02,), clips=9)
    command = "wmenv verifierbench --tasks wmenv/Hopper-v0 wmenv/Reacher-v0 --noise 0.02 --clips 9"
    assert seen["command"] == command, "no path of this machine"
    assert seen["hardware"]["cores"] >= 1 and seen["versions"]["mujoco"]
    assert (tmp_path / "verifierbench.md").read_text().startswith("cells")
