"""The energy score by horizon, on a system in closed form and on dreams that are right, certain or nowhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.wmenv.metrics.test_horizon import make_exact, mass_episodes
from wmenv.errors import InputError
from wmenv.metrics import energy_by_horizon
from wmenv.types import DreamState, StepOutput
from wmenv.world_model import WorldModel


def noisy(monkeypatch: pytest.MonkeyPatch, spread: float) -> WorldModel:
    """The exact model, every latent of which is off by `spread` usual changes times its step's noise."""
    model = make_exact(monkeypatch)
    exact = model.step

    def step(state: DreamState, action: Tensor, noise: Tensor, **options: bool) -> StepOutput:
        out = exact(state, action, noise, **options)
        latents = out.state.latents.clone()
        latents[:, -1] += spread * noise[:, 0] * model.dynamics.delta_scale
        return out._replace(state=out.state._replace(latents=latents))

    monkeypatch.setattr(model, "step", step)
    return model


def test_who_is_right_and_certain_pays_nothing(monkeypatch: pytest.MonkeyPatch):
    found = energy_by_horizon(make_exact(monkeypatch), mass_episodes(6, 100), horizon=8)
    assert found["horizons"] == list(range(1, 9)) and found["clips"] > 0
    assert max(found["score"]) < 1e-4 and max(found["spread"]) == 0.0


def test_lengths_are_in_usual_changes(monkeypatch: pytest.MonkeyPatch):
    """Two numbers, each off by a standard normal: their root mean square is sqrt(pi) / 2 on average."""
    found = energy_by_horizon(noisy(monkeypatch, 3.0), mass_episodes(12, 100), horizon=3, dreams=16)
    unit = 3 * torch.pi**0.5 / 2
    assert found["error"][0] == pytest.approx(unit, rel=0.05)
    assert found["spread"][0] == pytest.approx(2**0.5 * unit, rel=0.05)
    assert found["score"][0] == pytest.approx(found["error"][0] - found["spread"][0] / 2)


def test_it_repeats_and_stops_where_episodes_end(monkeypatch: pytest.MonkeyPatch):
    model = noisy(monkeypatch, 1.0)
    found = energy_by_horizon(model, mass_episodes(3, 100, steps=6), horizon=50, seed=3)
    assert found["horizons"] == list(range(1, 7))
    assert found == energy_by_horizon(model, mass_episodes(3, 100, steps=6), horizon=50, seed=3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dreams": 1}, "dreams: expected an integer >= 2, got 1"),
        ({"horizon": 0}, "horizon: expected an integer >= 1, got 0"),
        ({"clips": 0}, "clips: expected an integer >= 1, got 0"),
        ({"clips": 2.5}, "clips: expected an integer >= 1, got 2.5"),
        ({"held_out": []}, "held_out: expected at least one episode, got none"),
    ],
)
def test_what_cannot_be_measured_is_named(options: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch):
    given: dict[str, Any] = {"held_out": mass_episodes(2, 100)} | options
    with pytest.raises(InputError, match=says):
        energy_by_horizon(make_exact(monkeypatch), **given)
