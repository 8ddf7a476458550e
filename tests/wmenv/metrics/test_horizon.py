"""Errors against the horizon on a system in closed form, where the right numbers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.wmenv.tiny import make_episode, make_model
from wmenv.data import Episode
from wmenv.data.windows import LatentEpisodes
from wmenv.errors import InputError
from wmenv.metrics import horizon_error
from wmenv.metrics.linear import LinearModel, features, fit_linear
from wmenv.training.dynamics_stage import encode_episodes
from wmenv.types import DreamState, StepOutput
from wmenv.world_model import WorldModel


def mass_episodes(count: int, first: int = 0, steps: int = 20) -> list[Episode]:
    return [make_episode(first + seed, steps, frames=False) for seed in range(count)]


def make_exact(monkeypatch: pytest.MonkeyPatch, error: float = 0.0, ends: str = "never") -> WorldModel:
    """A model whose dream is the mass itself, but for a velocity off by `error` m/s after each step.

    Its dreams end "never", "always" (from the first step on), or "some": those that are then lifted by 2 m/s.
    """
    model = make_model(action_high=(2.0,), num_starts=5)

    def start_from(latents: Tensor, actions: Tensor, valid: Tensor) -> DreamState:
        nothing = torch.zeros(len(latents), 1)
        return DreamState(nothing, nothing, nothing, nothing, latents[:, -2:])

    def step(state: DreamState, action: Tensor, noise: Tensor, **options: bool) -> StepOutput:
        x, v = model.tokenizer.decode(state.latents[:, -1]).unbind(-1)
        bad = torch.full((len(x),), ends == "always")
        if ends == "some":
            bad[torch.arange(len(x)) % 2 == 1] = len(x) > 1000  # rows of ensembles only
        lifted = bad & (ends == "some")
        after = torch.stack((x + 0.1 * v, 0.9 * v + 0.3 * action[:, 0] + error + 2 * lifted), -1)
        latents = torch.cat((state.latents[:, 1:], model.tokenizer.encode(after).unsqueeze(1)), 1)
        return StepOutput(state._replace(latents=latents), torch.zeros(len(x)), bad.float())

    monkeypatch.setattr(model, "start_from", start_from)
    monkeypatch.setattr(model, "step", step)
    return model


def test_a_perfect_dream_and_a_linear_model_are_right_about_a_linear_system(monkeypatch: pytest.MonkeyPatch):
    result = horizon_error(make_exact(monkeypatch), mass_episodes(6, 100), mass_episodes(12), horizon=10)
    assert result["horizons"] == list(range(1, 11))
    assert max(result["one_dream"]) < 1e-5 and max(result["dream"]) < 1e-3
    assert max(result["linear"]) < 1e-3
    assert min(result["copy_last"]) > 0.05


def test_copying_the_last_frame_errs_by_as_much_as_the_system_moves(monkeypatch: pytest.MonkeyPatch):
    """At constant speed x grows by 0.1 a step: after n steps a copy is off by 0.1 n."""
    steps = 12
    x = np.arange(steps + 1, dtype=np.float32) * 0.1
    state = np.stack((x, np.ones_like(x)), 1)
    moving = make_episode(0, 1, frames=False)
    fields = {"action": np.zeros((steps, 1), np.float32), "reward": np.zeros(steps), "terminated": False}
    episode = replace(moving, state=state, qpos=state[:, :1], qvel=state[:, 1:], **fields)
    result = horizon_error(make_exact(monkeypatch), [episode], mass_episodes(4), horizon=5)
    spread = x.std(ddof=1)
    assert result["copy_last"] == pytest.approx([0.1 * n / spread for n in range(1, 6)], rel=1e-4)
    assert result["clips"] == sorted(result["clips"], reverse=True) and result["clips"][-1] >= 8


def test_a_known_error_is_measured(monkeypatch: pytest.MonkeyPatch):
    """A velocity off by 0.01 m/s after each step: first v alone is wrong, then x too."""
    held_out = mass_episodes(6, 100)
    result = horizon_error(make_exact(monkeypatch, 0.01), held_out, mass_episodes(12), horizon=3)
    states = np.concatenate([e.state for e in held_out])
    spread = (states.var(0, ddof=1).sum()) ** 0.5
    v = [0.01, 0.019, 0.0271]
    x = [0.0, 0.001, 0.0029]
    wanted = [np.hypot(a, b) / spread for a, b in zip(x, v, strict=True)]
    assert result["one_dream"] == pytest.approx(wanted, rel=1e-3)


def test_a_dream_that_has_ended_waits(monkeypatch: pytest.MonkeyPatch):
    """In its last frame, which is dreamed like any other: right here, where what comes after would be right too."""
    result = horizon_error(make_exact(monkeypatch, ends="always"), mass_episodes(6, 100), mass_episodes(12), horizon=10)
    one, still = result["one_dream"], result["copy_last"]
    assert one[0] < 1e-5, "the frame that ends an episode is known of it, so that the dream's is measured"
    assert all(0.3 * s < o < s for o, s in zip(one[1:], still[1:], strict=True)), "then it stands still, a step later"


def test_the_average_is_of_the_dreams_that_get_there(monkeypatch: pytest.MonkeyPatch):
    result = horizon_error(make_exact(monkeypatch, ends="some"), mass_episodes(6, 100), mass_episodes(12), horizon=10)
    whole = horizon_error(make_exact(monkeypatch), mass_episodes(6, 100), mass_episodes(12), horizon=10)
    assert max(result["dream"][1:]) < 1e-3 and max(whole["dream"]) < 1e-3, "half of the dreams were lifted, and ended"
    assert result["dream"][0] > 0.1, "in the lifted frame"


def test_a_real_model_repeats_and_episodes_may_be_short():
    model = make_model(action_high=(2.0,))
    held_out = mass_episodes(2, 100, steps=2) + mass_episodes(1, 200, steps=4)
    first, again = (horizon_error(model, held_out, mass_episodes(3), horizon=50) for _ in range(2))
    assert first == again and first["horizons"] == [1, 2, 3, 4]
    assert all(np.isfinite(first[name]).all() for name in ("dream", "one_dream", "copy_last", "linear"))
    assert first["clips"] == sorted(first["clips"], reverse=True) and first["clips"][-1] >= 1


def test_without_a_forecast_the_rest_is_the_same():
    model, held_out, learned = make_model(action_high=(2.0,)), mass_episodes(2, 100), mass_episodes(3)
    whole, part = (horizon_error(model, held_out, learned, horizon=5, forecast=given) for given in (True, False))
    assert "dream" not in part and part == {name: whole[name] for name in part}


def linear_recording(seed: int = 0) -> tuple[Tensor, LatentEpisodes]:
    """Ten episodes of a stable random linear system of second order, (2, 2) latents and two actions."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(4 + 4 + 2 + 1, 4, generator=generator) * 0.2
    latents, actions = [], []
    for _ in range(10):
        a = torch.rand(30, 2, generator=generator) * 2 - 1
        z = [torch.randn(4, generator=generator)]
        for t in range(30):
            before = z[max(t - 1, 0)]
            z.append(LinearModel(weight).step(before[None], z[t][None], a[t : t + 1])[0])
        latents.append(torch.stack(z).view(31, 2, 2))
        actions.append(a)
    return weight, LatentEpisodes.lay(latents, actions, [torch.zeros(30)] * 10, [False] * 10)


def test_least_squares_recovers_a_linear_system():
    weight, data = linear_recording()
    fitted = fit_linear(data)
    assert torch.allclose(fitted.weight, weight, atol=2e-3)
    other = linear_recording()[1]
    z = other.latent.flatten(1)
    guess = fitted.step(z[3:4], z[4:5], other.action[5:6])
    assert torch.allclose(guess, z[5:6], atol=2e-3)


def test_features_hold_place_speed_action_and_one():
    before, now, action = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.5, 1.0]]), torch.tensor([[0.3]])
    assert features(before, now, action).tolist() == [pytest.approx([1.5, 1.0, 0.5, -1.0, 0.3, 1.0])]


def test_latents_of_the_mass_are_its_scaled_state():
    """So the numbers above are those of the state."""
    model = make_model(action_high=(2.0,))
    (episode,) = mass_episodes(1)
    data = encode_episodes(model, [episode])
    assert torch.equal(model.tokenizer.decode(data.latent), torch.from_numpy(episode.state))
    assert torch.equal(data.action[1:], torch.from_numpy(episode.action) / 2) and (data.action[0] == 0).all()
    assert torch.equal(data.reward[1:], torch.from_numpy(episode.reward).float())


def test_what_cannot_be_measured_is_named(monkeypatch: pytest.MonkeyPatch):
    model, some = make_exact(monkeypatch), mass_episodes(2)
    with pytest.raises(InputError, match="held_out: expected at least one episode, got none"):
        horizon_error(model, [], some)
    with pytest.raises(InputError, match="training: expected at least one episode, got none"):
        horizon_error(model, some, [])
    with pytest.raises(InputError, match="horizon: expected an integer >= 1, got 0"):
        horizon_error(model, some, some, horizon=0)


def test_latents_that_were_encoded_before_give_the_same_errors_as_their_episodes():
    model = make_model(num_starts=5)
    held_out, learned = mass_episodes(4, 100), mass_episodes(6)
    held_latents, learned_latents = (encode_episodes(model, part) for part in (held_out, learned))
    assert horizon_error(model, held_latents, learned_latents, horizon=5) == horizon_error(
        model, held_out, learned, horizon=5
    )
