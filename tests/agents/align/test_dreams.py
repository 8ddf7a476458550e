"""Dreams to learn from are the environment's dreams, and their probabilities are those of the model."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from agents.align.advantage import normalised, within_groups
from agents.align.chain import BoundedNoise, log_prob
from agents.align.config import AlignConfig
from agents.align.dreams import Context, Dreams, dream, grouped_noise, retrace
from agents.align.drivers import Mixture, Random, Recorded, Together
from agents.align.grading import Grades
from agents.align.policy_gradient import PolicyGradient, used_numbers
from agents.align.preferences import Preferences, pairs, preference_loss
from agents.align.supervised import best_dreams
from tests.wmenv.tiny import make_model
from wmenv import WorldModel

FRAMES, ROWS = 6, 4


def context(model, rows: int = ROWS, frames: int = FRAMES) -> Context:
    actions = torch.rand(rows, frames + 1, model.config.action_dim, generator=torch.Generator().manual_seed(3)) * 2 - 1
    return Context(model.start_latents[:rows], model.start_actions[:rows], model.start_valid[:rows], actions)


def dreamed(model, noise=None, steps: int = 2, seed: int = 0, group: int = 1) -> Dreams:
    generator = torch.Generator().manual_seed(seed)
    return dream(model, context(model), Recorded(), noise, FRAMES, steps, generator, group)


def make_noise(model) -> BoundedNoise:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return BoundedNoise(model.latent_shape, model.config.action_dim, 0.05, 0.2)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_without_noise_they_are_the_models_own(steps: int) -> None:
    model = make_model()
    found = dreamed(model, steps=steps)
    generator = torch.Generator().manual_seed(0)
    start = context(model)
    state = model.start_from(start.latents, start.actions, start.valid)
    for t in range(FRAMES):
        drawn = grouped_noise((ROWS, steps + 1, *model.latent_shape), 1, generator)
        action = model.action_middle + model.action_half * start.recorded[:, t]
        state = model.step(state, action, drawn[:, :1].expand(-1, steps, -1, -1)).state
        torch.testing.assert_close(found.latents[:, t], state.latents[:, -1])


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_what_was_chosen_lies_where_the_model_now_says(steps: int) -> None:
    """The parallel form finds, at every step of every frame, the distribution that the dream drew from."""
    model = make_model()
    noise = make_noise(model)
    found = dreamed(model, noise, steps)
    assert found.chain.shape == (ROWS, FRAMES, steps + 1, *model.latent_shape)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack(
        [grouped_noise((ROWS, steps + 1, *model.latent_shape), 1, generator) for _ in range(FRAMES)], dim=1
    )
    for k, step in enumerate(retrace(model, found, noise)):
        z = (found.chain[:, :, k + 1] - step.mean) / step.std
        torch.testing.assert_close(z, drawn[:, :, k + 1], atol=2e-3, rtol=0)


def test_twins_differ_in_what_they_explore_alone() -> None:
    drawn = grouped_noise((4, 3, 2, 2), 2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn[0, 0], drawn[1, 0])
    torch.testing.assert_close(drawn[0, 1:], -drawn[1, 1:])
    assert not torch.equal(drawn[0], drawn[2])


def test_twins_are_compared_with_each_other() -> None:
    advantage = torch.tensor([[1.0, 5.0], [3.0, 5.0], [10.0, 0.0], [14.0, 9.0]])
    judged = torch.tensor([[True, True], [True, True], [True, True], [True, False]])
    found = within_groups(advantage, judged, 2)
    torch.testing.assert_close(found, torch.tensor([[-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]]) / 2**0.5)
    assert normalised(found, judged)[~judged].abs().sum() == 0


def test_a_mixture_drives_each_row_once_and_groups_alike() -> None:
    model = make_model()
    start, generator = context(model), torch.Generator().manual_seed(1)
    mixed = Mixture([(Recorded(), 0.5), (Random(model.config.action_dim, generator), 0.5)])
    mixed.begin(start)
    acted = mixed.act(2, torch.zeros(ROWS, 4))
    torch.testing.assert_close(acted[:2], start.recorded[:2, 2])
    assert not torch.equal(acted[2:], start.recorded[2:, 2])
    both = Together(Random(model.config.action_dim, generator), 2)
    both.begin(start)
    acted = both.act(0, torch.zeros(ROWS, 4))
    assert torch.equal(acted[0], acted[1]) and not torch.equal(acted[0], acted[2])


class NoReal:
    """No recording."""

    def loss(self, *_) -> torch.Tensor:
        return torch.zeros(())

    def kept_loss(self, model: WorldModel) -> float:
        return 0.04


def test_choices_that_paid_become_likelier() -> None:
    """A reward for one number of the frame over another: after a few rounds the model has drawn them apart."""
    model = make_model()
    before = copy.deepcopy(model)
    options = {"group": 2, "frames": FRAMES, "epochs": 4, "learning_rate": 1.5e-3, "real_weight": 0.0, "gamma": 0.0}
    learner = PolicyGradient(model, NoReal(), AlignConfig(**options), seed=0)  # type: ignore[arg-type]
    for number in range(25):
        found = dreamed(model, learner.noise, steps=1, seed=number, group=2)
        paid = 0.01 * (found.chain[:, :, -1, 0, 0] - found.chain[:, :, -1, 1, 0])
        learner.update(found, Grades([], paid, torch.ones_like(paid, dtype=torch.bool)), torch.Generator())
    same = dreamed(before, steps=1)
    noise = make_noise(model)
    moved = retrace(model, same, noise)[0].mean - retrace(before, same, noise)[0].mean
    assert (moved[..., 0, 0] - moved[..., 1, 0]).mean() > 0.02


def test_the_likelihood_counts_only_numbers_that_are_states() -> None:
    model = make_model()
    used = used_numbers(model)
    assert used.tolist() == [[True, False], [True, False]]
    found = dreamed(model, make_noise(model), steps=1)
    (step,) = retrace(model, found, make_noise(model))
    other = found.chain[:, :, -1].clone()
    other[..., 1] += 9
    torch.testing.assert_close(log_prob(other, step, used), log_prob(found.chain[:, :, -1], step, used))


def test_the_best_dreams_are_the_best_graded() -> None:
    model = make_model()
    found = dreamed(model)
    reward = torch.tensor([-1.0, -0.1, -0.5, 0.0])[:, None].expand(ROWS, FRAMES)
    judged = torch.ones(ROWS, FRAMES, dtype=torch.bool)
    judged[3] = False  # it ended before it could be judged
    judged[1, 4:] = False
    best = best_dreams(found, Grades([], reward * judged, judged), share=0.34)
    assert best is not None and best.length.tolist() == [5]
    torch.testing.assert_close(best.latent[1:], found.latents[1, :4])
    assert best_dreams(found, Grades([], reward, torch.zeros_like(judged)), share=0.5) is None


def test_the_divergence_from_the_given_model_holds_it_back() -> None:
    moved = []
    for weight in (0.0, 3.0):
        model = make_model()
        before = copy.deepcopy(model)
        options = {
            "group": 2,
            "frames": FRAMES,
            "learning_rate": 1.5e-3,
            "real_weight": 0.0,
            "reference_weight": weight,
        }
        learner = PolicyGradient(model, NoReal(), AlignConfig(**options), seed=0)  # type: ignore[arg-type]
        for number in range(10):
            found = dreamed(model, learner.noise, steps=1, seed=number, group=2)
            paid = 0.01 * found.chain[:, :, -1, 0, 0]
            learner.update(found, Grades([], paid, torch.ones_like(paid, dtype=torch.bool)), torch.Generator())
        same, noise = dreamed(before, steps=1), make_noise(model)
        apart = retrace(model, same, noise)[0].mean - retrace(before, same, noise)[0].mean
        moved.append(apart.square().mean().sqrt().item())
    assert moved[1] < 0.7 * moved[0]


def test_a_preference_is_a_pair_of_the_best_and_the_worst_of_a_group() -> None:
    reward = torch.tensor([[0.0], [-1.0], [-0.2], [-0.3], [-0.5], [-0.5], [-0.1], [-0.9]])
    judged = torch.ones(8, 1, dtype=torch.bool)
    judged[6] = False  # its group is left out, and so is the one whose dreams fared alike
    better, worse = pairs(Grades([], reward, judged), 2)
    assert better.tolist() == [0, 2] and worse.tolist() == [1, 3]


def test_preferred_dreams_become_likelier_and_the_others_less() -> None:
    """The first loss is log 2, since nothing has changed; the second update sees the gap that the first one made."""
    model, real = make_model(), SimpleNamespace(kept_loss=lambda model: 1.0)
    config = AlignConfig(method="dpo", group=2, real_weight=0.0, learning_rate=3e-5, epochs=5)
    learner = Preferences(model, real, config, 0)  # type: ignore[arg-type]
    found = dreamed(model, learner.noise, group=2)
    reward = torch.tensor([0.0, -1.0, -0.7, -0.2]).unsqueeze(1).expand(-1, FRAMES)
    grades = Grades([], reward, torch.ones(ROWS, FRAMES, dtype=torch.bool))
    before = learner._log_likelihood(model, found)
    told = learner.update(found, grades, torch.Generator().manual_seed(0))
    with torch.no_grad():
        change = learner._log_likelihood(model, found) - before
    assert told["pairs"] == 2
    assert change[0] > change[1] and change[3] > change[2]
    assert told["preference"] < math.log(2)
    untouched = Preferences(make_model(), real, replace(config, epochs=1), 0)  # type: ignore[arg-type]
    assert untouched.update(found, grades, torch.Generator().manual_seed(0))["preference"] == pytest.approx(math.log(2))


def test_a_round_without_a_pair_leaves_the_model_as_it_was() -> None:
    model, real = make_model(), SimpleNamespace(kept_loss=lambda model: 1.0)
    config = AlignConfig(method="dpo", group=2, real_weight=0.0)
    learner = Preferences(model, real, config, 0)  # type: ignore[arg-type]
    found, before = dreamed(model, learner.noise, group=2), copy.deepcopy(model.state_dict())
    alike = Grades([], torch.zeros(ROWS, FRAMES), torch.ones(ROWS, FRAMES, dtype=torch.bool))
    assert learner.update(found, alike, torch.Generator().manual_seed(0))["pairs"] == 0
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_preferences_are_those_of_the_paper() -> None:
    """-log sigmoid(beta times the gap), and its slope -beta sigmoid(-beta gap): the surer, the less is learned."""
    gap = torch.tensor([0.0, 2.0, -3.0], dtype=torch.float64, requires_grad=True)
    loss = preference_loss(gap, torch.zeros(3, dtype=torch.float64), 0.5)
    torch.testing.assert_close(loss, -(torch.sigmoid(0.5 * gap)).log())
    (slope,) = torch.autograd.grad(loss.sum(), gap)
    torch.testing.assert_close(slope, -0.5 * torch.sigmoid(-0.5 * gap.detach()))
