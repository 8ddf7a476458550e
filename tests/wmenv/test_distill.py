"""From a teacher to a model of few steps: what is stored, what goes on after a stop, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.wmenv.test_train import killed_while_it_tidies
from tests.wmenv.tiny import make_store, preset, same_tensors
from wmenv.distill import distill
from wmenv.distill_config import DistillConfig
from wmenv.errors import CheckpointError, DataError, InputError
from wmenv.train import train
from wmenv.training import run
from wmenv.world_model import WorldModel

QUICK: dict[str, Any] = {"updates": 6, "rows": 4, "frames": 3, "grid": 4, "stride": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording, and a teacher of it that makes four steps."""
    folder = tmp_path_factory.mktemp("distill")
    make_store(folder / "data", frames=False)
    train(folder / "data", folder / "teacher", preset=preset(denoise_steps=4, full_noise=0.1), device="cpu")
    return folder


def go(place: Path, out: Path, **options: Any) -> WorldModel:
    return distill(place / "teacher", place / "data", out, device="cpu", **{**QUICK, **options})


@pytest.mark.parametrize(
    ("method", "steps"), [("consistency", 1), ("consistency", 2), ("self_forcing", 1), ("flow_map", 2)]
)
def test_a_stored_model_says_how_it_samples_and_keeps_all_but_the_dynamics(
    place: Path, tmp_path: Path, method: str, steps: int
):
    given = WorldModel.from_pretrained(place / "teacher")
    go(place, tmp_path / "few", method=method, steps=steps)
    model = WorldModel.from_pretrained(tmp_path / "few")
    assert (model.config.denoise_steps, model.config.distilled) == (steps, (method,))
    assert model.config.any_step == (method == "flow_map")
    assert not (tmp_path / "few" / "training").exists()
    assert f"{steps} step(s), distilled: {method}" in (tmp_path / "few" / "README.md").read_text()
    old, new = given.state_dict(), model.state_dict()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed and all(name.startswith("dynamics.") for name in changed) and "dynamics.delta_scale" not in changed
    for count in (1, 2, 4):
        noise = torch.randn(2, count, *model.latent_shape)
        assert model.step(model.start(torch.tensor([0, 1])), torch.zeros(2, 1), noise).reward.isfinite().all()


def test_a_trained_model_s_config_is_as_it_was_before_there_were_others(place: Path):
    values = json.loads((place / "teacher" / "config.json").read_text())
    assert "distilled" not in values and WorldModel.from_pretrained(place / "teacher").config.distilled == ()


def test_unknown_methods_in_a_config_are_refused(place: Path, tmp_path: Path):
    go(place, tmp_path / "few", method="consistency")
    path = tmp_path / "few" / "config.json"
    for wrong in (["magic"], "consistency", [3]):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"distilled": wrong}))
        with pytest.raises(CheckpointError, match="distilled: expected"):
            WorldModel.from_pretrained(tmp_path / "few")


def test_a_stopped_run_goes_on_bit_for_bit(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = go(place, tmp_path / "whole", method="flow_map")
    update, updates = torch.optim.AdamW.step, 0

    def stopped(self, closure=None):
        nonlocal updates
        updates += 1
        if updates == 4:
            raise KeyboardInterrupt
        return update(self, closure)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", stopped)
        patch.setattr(run, "SAVE_SECONDS", -1.0)
        with pytest.raises(KeyboardInterrupt):
            go(place, tmp_path / "broken", method="flow_map")
    left = json.loads((tmp_path / "broken" / "training" / "training-flow_map.json").read_text())
    assert left["step"] == 3 and not (tmp_path / "broken" / "config.json").exists()
    with pytest.raises(CheckpointError, match="expected a checkpoint of this run"):
        go(place, tmp_path / "broken", method="flow_map", rate=1e-4)
    assert same_tensors(go(place, tmp_path / "broken", method="flow_map").state_dict(), whole.state_dict())


def test_a_kill_while_it_tidies_leaves_a_finished_model(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        killed_while_it_tidies(patch)
        with pytest.raises(KeyboardInterrupt):
            go(place, tmp_path / "few")
    assert not (tmp_path / "few" / "training").exists()
    go(place, tmp_path / "few", overwrite=True)
    names = {path.name for path in (tmp_path / "few").iterdir()}
    assert names == {"config.json", "model.safetensors", "README.md"}


def test_methods_follow_each_other(place: Path, tmp_path: Path):
    go(place, tmp_path / "few", method="flow_map", steps=2)
    model = distill(
        tmp_path / "few", place / "data", tmp_path / "on", device="cpu", method="self_forcing", steps=2, updates=2,
        rows=2, frames=2,
    )  # fmt: skip
    assert model.config.distilled == ("flow_map", "self_forcing") and model.config.any_step


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "magic"}, "method: expected one of consistency, self_forcing, flow_map, got 'magic'"),
        ({"steps": 3}, "steps: expected a divisor of grid = 4, got 3"),
        ({"steps": 0}, "steps: expected an integer from 1 to"),
        ({"steps": 4}, "model: expected one that makes more than 4 denoising steps a frame, got one that makes 4"),
        ({"grid": 6}, "grid: expected a power of two, got 6"),
        ({"updates": True}, "updates: expected an integer"),
        ({"rollouts": 1}, "rollouts: expected an integer from 2"),
        ({"rate": float("nan")}, "rate: expected a number from 0 to 1, got nan"),
        ({"aimed": 1.5}, "aimed: expected a number from 0 to 1"),
        ({"speed": 9}, "speed: expected one of method, steps, .*, got an unknown option"),
        ({"seed": -1}, "seed: expected an integer from 0"),
    ],
)
def test_bad_options_are_named(place: Path, tmp_path: Path, options: dict[str, Any], says: str):
    with pytest.raises(InputError, match=says):
        go(place, tmp_path / "few", **options)
    assert not (tmp_path / "few").exists()


def test_what_cannot_teach_is_refused(place: Path, tmp_path: Path):
    train(place / "data", tmp_path / "one", preset=preset(denoise_steps=1), device="cpu")
    for method in ("consistency", "flow_map"):
        with pytest.raises(
            InputError, match="expected one that makes more than 1 denoising steps .* makes 1; train a t"
        ):
            distill(tmp_path / "one", place / "data", tmp_path / "few", method=method)
    go(place, tmp_path / "few")
    with pytest.raises(InputError, match="expected a new folder, got .* with a finished model"):
        go(place, tmp_path / "few")
    with pytest.raises(InputError, match="expected a model as it was trained, got one made by consistency; give its"):
        distill(tmp_path / "few", place / "data", tmp_path / "again", method="flow_map")


def test_other_data_are_refused(place: Path, tmp_path: Path):
    make_store(tmp_path / "other", frames=False, task="wmenv/Other-v0")
    with pytest.raises(DataError, match="wmenv/Mass-v0"):
        distill(place / "teacher", tmp_path / "other", tmp_path / "few")
    with pytest.raises(DataError):
        distill(place / "teacher", tmp_path / "nothing", tmp_path / "few")


def test_the_defaults_are_in_range():
    assert DistillConfig().grid % DistillConfig().steps == 0
