"""`wmenv distill` as a person runs it: a model, a record of the losses, one line for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.cli import FAULTY, main
from tests.wmenv.tiny import make_store, preset
from wmenv.train import train
from wmenv.world_model import WorldModel


def test_the_verb_leaves_a_model_of_few_steps_and_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    make_store(tmp_path / "data", frames=False)
    train(tmp_path / "data", tmp_path / "teacher", preset=preset(denoise_steps=4, steps=3), device="cpu")
    command = ["distill", str(tmp_path / "teacher"), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "few")]
    command += ["--updates", "2", "--rows", "4", "--frames", "3", "--grid", "4", "--stride", "1"]
    assert main([*command, "--method", "flow_map", "--steps", "3"]) == FAULTY
    assert "wmenv: steps: expected a divisor of grid = 4, got 3" in capsys.readouterr().err
    assert main([*command, "--method", "flow_map", "--steps", "2"]) == 0
    assert "dreams wmenv/Mass-v0 in 2 step(s) a frame, or in any number" in capsys.readouterr().err
    assert WorldModel.from_pretrained(tmp_path / "few").config.denoise_steps == 2
    rows = [json.loads(line) for line in (tmp_path / "few" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["stage"] == "flow_map" and rows[-1]["loss/jump"] > 0
    assert main(command) == FAULTY
    assert "expected a new folder" in capsys.readouterr().err
