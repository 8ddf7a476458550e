"""A data set gives away the world in which it was recorded, from states and actions alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents import record
from agents.identify import identify_data
from physics import TaskError, World
from wmenv import DataError, InputError

TASK = "wmenv/Reacher-v0"
HIDDEN = World(damping=1.4, gear=0.8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "reacher"
    options = {"obs": "state", "num_envs": 4, "num_processes": 1, "progress": False}
    record(TASK, 600, "random:4", folder, world=HIDDEN, **options)
    return folder


def test_the_hidden_world_is_found_and_written(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "world.json"
    found = identify_data(data, out, threads=1)
    assert found.world.damping == pytest.approx(HIDDEN.damping, rel=0.02)
    assert found.world.gear == pytest.approx(HIDDEN.gear, rel=0.02)
    assert found.error_after < 0.05 * found.error_before
    written = json.loads(out.read_text(encoding="utf-8"))
    assert World.from_dict(written["world"]) == found.world and written["task"] == TASK
    assert written["std"]["friction"] is None and ["friction"] in written["undetermined"]
    assert list(out.parent.iterdir()) == [out]


def test_fewer_clips_and_parameters_can_be_asked_for(data: Path) -> None:
    found = identify_data(data, parameters=("gear",), start=World(damping=1.4), clips=3, threads=1)
    assert set(found.std) == {"gear"} and found.windows == 3 * 4
    assert found.world.gear == pytest.approx(HIDDEN.gear, rel=0.02)


def test_bad_input_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="clips: expected"):
        identify_data(data, clips=0)
    with pytest.raises(InputError, match="out: expected a file"):
        identify_data(data, tmp_path)
    with pytest.raises(TaskError, match="parameters: expected"):
        identify_data(data, parameters=("weight",))
    with pytest.raises(DataError):
        identify_data(tmp_path / "nothing")
