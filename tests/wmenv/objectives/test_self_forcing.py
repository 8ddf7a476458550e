"""Roll-outs through the cache are what the parallel form repeats, and the score prefers the true distribution."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.wmenv.tiny import make_episode, make_model, random_dynamics
from wmenv.data.windows import Clip
from wmenv.distill_config import DistillConfig
from wmenv.objectives import self_forcing_loss
from wmenv.objectives.roll_out import roll_out
from wmenv.objectives.self_forcing import again, energy_score
from wmenv.tokenizers import StateTokenizer
from wmenv.training.dynamics_stage import encode_episodes
from wmenv.types import LATENT_BOUND

B, F, N, C, A, W = 5, 9, 3, 2, 2, 4


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clip() -> Clip:
    """Clips that hang over an episode's start by 0 to 4 frames; frame `begun` is its first observation."""
    generator = seeded()

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    begun = torch.arange(B).unsqueeze(1) - 1
    valid, target = torch.arange(F) >= begun, torch.arange(F) > begun
    latent, first, action, reward = normal(B, F, N, C), normal(B, N, C), normal(B, F, A).tanh(), normal(B, F)
    return Clip(latent, first, action, reward, torch.zeros(B, F).bool(), valid, target)


def projecting() -> StateTokenizer:
    """Of six coordinates, the first and the fourth the cosine and sine of an angle."""
    tokenizer = StateTokenizer(range(6), N, C, units=[[0, 3]]).double()
    tokenizer.fit(torch.randn(50, 6, generator=seeded(7), dtype=torch.float64))
    return tokenizer


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("any_step", [False, True])
def test_the_parallel_form_repeats_the_roll_out(steps: int, any_step: bool):
    """Own frames come again from the same noise; recorded ones stand where nothing was dreamed."""
    dynamics, tokenizer, x = random_dynamics(any_step=any_step), projecting(), clip()
    x.latent[:, W - 1] *= 6  # so that dreams reach the bound of latents
    own = x.target & (torch.arange(F) >= W)
    noise = torch.randn(B, F, steps, N, C, generator=seeded(1), dtype=torch.float64)
    past = roll_out(dynamics, tokenizer.project, x, own, noise)
    assert torch.equal(past[~own], x.latent[~own])
    repeated = again(dynamics, tokenizer.project, x, past, noise)
    torch.testing.assert_close(repeated[own], past[own], rtol=0, atol=1e-9)
    assert (past[own] - x.latent[own]).abs().min() > 0 and past[own].abs().max() == LATENT_BOUND
    free = (past[own].abs() < LATENT_BOUND).all(-1).all(-1)
    length = tokenizer.decode(past[own][free])[:, [0, 3]].norm(dim=-1)
    torch.testing.assert_close(length, torch.ones_like(length), rtol=0, atol=1e-12)


def test_gradients_turn_an_angle_without_changing_its_length_and_call_back_what_left_the_bound():
    """One step from pure noise: the answer is the change, so its gradient is that of the frame."""
    dynamics, tokenizer, x = random_dynamics().requires_grad_(True), projecting(), clip()
    x.first[:, 2] = 40.0  # far beyond the bound, and so is what is dreamed there
    x = x._replace(latent=x.latent[:, :1], **{f: getattr(x, f)[:, :1] for f in ("action", "valid")})
    noise = torch.randn(B, 1, 1, N, C, generator=seeded(1), dtype=torch.float64)
    raw: list[Tensor] = []

    def project(latents: Tensor) -> Tensor:
        latents.retain_grad()
        raw.append(latents)
        return tokenizer.project(latents)

    dreamed = again(dynamics, project, x, x.latent, noise)
    assert (dreamed[:, :, 2] == LATENT_BOUND).all()
    dreamed.square().sum().backward()
    (latents,) = raw
    assert latents.grad is not None
    assert (latents.grad[:, :, 2] > 0).all(), "beyond the bound, a smaller number is better"
    # SI: d loss / d state = d loss / d latent * d latent / d state, and an angle's part is at right angles to it.
    along = (latents.grad.flatten(2) / tokenizer.scale * tokenizer.decode(latents))[..., [0, 3]].sum(-1)
    torch.testing.assert_close(along, torch.zeros_like(along), rtol=0, atol=1e-9)


def test_the_score_is_least_for_the_true_spread_where_its_error_alone_is_least_for_the_mean():
    """Of numbers: E|X - Z| - E|X - X'| / 2 is 1 / sqrt(pi) for X, Z standard normal, sqrt(2 / pi) for X = 0."""
    real = torch.randn(40_000, 1, 1, 1, generator=seeded(), dtype=torch.float64)
    unit = torch.randn(40_000, 2, 1, 1, 1, generator=seeded(1), dtype=torch.float64)
    counts, scale = torch.ones(40_000, 1, dtype=torch.bool), torch.ones(1, 1, dtype=torch.float64)
    score, error = {}, {}
    for size in (0.0, 0.5, 1.0, 1.5):
        loss, parts = energy_score(size * unit, real, counts, scale)
        score[size], error[size] = loss.item(), parts["error"].item()
    assert score[1.0] == pytest.approx(1 / math.sqrt(math.pi), abs=0.02)
    assert score[0.0] == pytest.approx(math.sqrt(2 / math.pi), abs=0.02)
    assert min(score, key=score.__getitem__) == 1.0 and min(error, key=error.__getitem__) == 0.0


def test_who_dreams_what_came_pays_nothing_and_other_frames_do_not_count():
    real = torch.randn(3, 4, N, C, generator=seeded())
    counts = torch.tensor([[False, True, True, True]]).expand(3, -1)
    dreamed = real.unsqueeze(1).repeat(1, 2, 1, 1, 1)
    dreamed[:, :, 0] += 5
    loss, _ = energy_score(dreamed, real, counts, torch.ones(N, C))
    assert loss.item() == pytest.approx(0, abs=1e-7)
    dreamed[:, :, 1:] += 0.6
    loss, parts = energy_score(dreamed, real, counts, torch.full((N, C), 0.2))
    assert loss.item() == pytest.approx(3, abs=0.02), "in units of the scale"
    assert parts["spread"].item() == pytest.approx(0, abs=1e-6)


def test_the_loss_falls_when_it_is_followed():
    model = make_model(action_high=(2.0,))
    data = encode_episodes(model, [make_episode(s, frames=False) for s in range(6)])
    dynamics = model.dynamics.requires_grad_(True)
    project, config = model.tokenizer.project, DistillConfig(method="self_forcing", steps=1)
    optimizer = torch.optim.AdamW(dynamics.parameters(), 3e-3)

    def loss(seed: int) -> Tensor:
        return self_forcing_loss(dynamics, project, data.sample(16, 7, seeded(seed)), config, seeded(seed))[0]

    before = loss(99).item()
    for step in range(40):
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
    assert loss(99).item() < 0.6 * before
