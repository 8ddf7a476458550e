"""The probe finds what latents hold, and says so where they hold nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.wmenv.tiny import make_episode, make_model
from wmenv.data import Episode
from wmenv.errors import InputError
from wmenv.metrics import probe, probe_latents


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "STEPS", 250)


def episodes(count: int, first: int = 0) -> list[Episode]:
    return [make_episode(first + seed, 30, frames=False) for seed in range(count)]


def test_latents_that_are_the_state_are_read_off():
    model = make_model(action_high=(2.0,))
    result = probe_latents(model, episodes(12), episodes(6, 100))
    assert result["names"] == list(model.config.state_names)
    assert min(result["r2"]) > 0.98
    states = np.concatenate([e.state[1:] for e in episodes(6, 100)])
    assert result["frames"] == len(states)
    for r2, rmse, variance in zip(result["r2"], result["rmse"], states.var(0), strict=True):
        assert rmse**2 == pytest.approx((1 - r2) * variance, rel=0.02)


def test_a_coordinate_that_latents_do_not_hold_is_not_found():
    """The tokenizer forgets x, and x cannot be told from the velocity."""
    model = make_model(action_high=(2.0,))
    model.tokenizer.scale[0] = 1e9

    def shifted(seed: int, episode: Episode) -> Episode:
        state = episode.state.copy()
        state[:, 0] = np.random.default_rng(seed).normal(size=len(state))
        return replace(episode, state=state)

    held_out = [shifted(900 + i, e) for i, e in enumerate(episodes(6, 100))]
    result = probe_latents(model, [shifted(i, e) for i, e in enumerate(episodes(12))], held_out)
    assert result["r2"][0] < 0.1 and result["r2"][1] > 0.95


def test_a_velocity_is_read_from_two_frames():
    """The tokenizer forgets v; x of two frames still tells it."""
    model = make_model(action_high=(2.0,))
    model.tokenizer.scale[1] = 1e9
    result = probe_latents(model, episodes(12), episodes(6, 100))
    assert result["r2"][0] > 0.98 and result["r2"][1] > 0.5


def test_it_repeats_and_leaves_the_users_generator_alone():
    model = make_model(action_high=(2.0,))
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    results = [probe_latents(model, episodes(3), episodes(2, 100), seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(2), wanted)
    assert results[0] == results[1] != results[2]


def test_generators_of_gpus_and_a_failed_probe_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    """`torch.manual_seed` seeds the GPUs too."""

    def fails(seed: int) -> None:
        raise AssertionError("seeded a GPU")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", fails)
    model = make_model(action_high=(2.0,))
    probe_latents(model, episodes(2), episodes(1, 100))
    before = torch.random.get_rng_state()
    with pytest.raises(InputError, match="held_out: expected at least one episode, got none"):
        probe_latents(model, episodes(2), [])
    with pytest.raises(InputError, match="training: expected at least one episode, got none"):
        probe_latents(model, [], episodes(2))
    assert torch.equal(torch.random.get_rng_state(), before)
