"""PPO on generators against what is known without it: likelihoods, divergences, advantages, a bandit's optimum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from agents.align.advantage import frame_advantage, group_advantage, step_advantage, usual
from agents.align.chain import BoundedNoise, FlowNoise, Gaussian, Still, divergence, levels, log_prob
from agents.align.policy_gradient import centred_log_ratio, clipped

ALL = torch.ones(1, 1, dtype=torch.bool)


def gaussian(mean: float, std: float) -> Gaussian:
    return Gaussian(torch.tensor([[mean]], dtype=torch.float64), torch.tensor([[std]], dtype=torch.float64))


def density(x: float, g: Gaussian) -> float:
    return math.exp(log_prob(torch.tensor([[x]], dtype=torch.float64), g, ALL).item())


def test_a_step_has_exact_likelihood():
    g = gaussian(0.3, 0.2)
    mass, _ = quad(lambda x: density(x, g), -3, 4, points=[0.3])
    mean, _ = quad(lambda x: x * density(x, g), -3, 4, points=[0.3])
    assert mass == pytest.approx(1, abs=1e-9)
    assert mean == pytest.approx(0.3, abs=1e-9)


def test_a_chain_of_two_steps_ends_where_its_likelihood_says():
    """The density of the last y, by quadrature over the one between, against the exact convolution."""
    noise, answer = FlowNoise(size=0.7, least=0.1), torch.tensor([[0.5]], dtype=torch.float64)
    (first, middle), (_, last) = levels(2)
    start = torch.tensor([[1.2]], dtype=torch.float64)
    g1 = noise.step(start, answer, start, start[0], first, middle)

    def joint(y: float, z: float) -> float:
        between = torch.tensor([[y]], dtype=torch.float64)
        # an answer that depends on y, as a network's does
        g2 = noise.step(between, 0.5 * between, between, between[0], middle, last)
        return density(y, g1) * density(z, g2)

    m, s = g1.mean.item(), g1.std.item()
    spread = math.hypot(0.5 * s, 0.1)
    for z in (0.0, 0.4, 0.9):
        marginal, _ = quad(lambda y, z=z: joint(y, z), m - 8 * s, m + 8 * s)
        exact = math.exp(-0.5 * ((z - 0.5 * m) / spread) ** 2) / spread / math.sqrt(2 * math.pi)
        assert marginal == pytest.approx(exact, rel=1e-6)


def test_divergence_is_what_quadrature_finds():
    p, q = gaussian(0.2, 0.3), gaussian(-0.1, 0.5)
    found, _ = quad(lambda x: density(x, p) * (math.log(density(x, p)) - math.log(density(x, q))), -2.2, 2.6)
    assert divergence(p, q, ALL).item() == pytest.approx(found, rel=1e-8)


def test_numbers_that_mean_nothing_do_not_count():
    used = torch.tensor([[True, False]])
    p = Gaussian(torch.zeros(1, 2), torch.ones(1, 2))
    q = Gaussian(torch.tensor([[0.0, 9.0]]), torch.tensor([[1.0, 3.0]]))
    assert divergence(p, q, used) == 0
    assert log_prob(torch.tensor([[0.0, 5.0]]), p, used) == log_prob(torch.tensor([[0.0, 0.0]]), q, used)


def test_the_centred_ratio_has_mean_zero_and_the_plain_gradient():
    generator = torch.Generator().manual_seed(0)
    used = torch.ones(2, 3, dtype=torch.bool)
    old = Gaussian(torch.zeros(2, 3, dtype=torch.float64), torch.full((2, 3), 0.5, dtype=torch.float64))
    value = torch.randn(200_000, 2, 3, generator=generator, dtype=torch.float64) * 0.5
    away = Gaussian(old.mean + 0.3, old.std * 1.2)
    assert abs(centred_log_ratio(value, away, old, used).mean().item()) < 0.01
    raw = log_prob(value, away, used) - log_prob(value, old, used)
    assert raw.mean().item() < -0.5  # what the centring takes out

    mean = old.mean.clone().requires_grad_(True)
    new = Gaussian(mean, old.std)
    (plain,) = torch.autograd.grad(log_prob(value[0], new, used), mean)
    (centred,) = torch.autograd.grad(centred_log_ratio(value[0], new, old, used), mean)
    torch.testing.assert_close(centred * math.sqrt(6), plain)


def test_clipping_stops_what_has_gone_far_enough():
    log_ratio = torch.tensor([0.5, 0.5, -0.5, -0.5], requires_grad=True)
    clipped(log_ratio, torch.tensor([1.0, -1.0, 1.0, -1.0]), 0.2).sum().backward()
    assert log_ratio.grad is not None
    assert (log_ratio.grad != 0).tolist() == [False, True, True, False]


def test_gaussian_bandit_finds_the_optimum_under_kl():
    """Reward -(x - 2)^2, divergence from N(0, 1) weighed by beta: the best mean of unit variance is 4 / (2 + beta)."""
    beta, generator = 1.0, torch.Generator().manual_seed(0)
    mean = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    std, still = torch.ones(1, 1, dtype=torch.float64), gaussian(0.0, 1.0)
    optimizer = torch.optim.SGD([mean], lr=0.02)
    trail = []
    for _ in range(400):
        old = Gaussian(mean.detach().clone(), std)
        x = old.mean + torch.randn(512, 1, 1, generator=generator, dtype=torch.float64)
        reward = -(x - 2).square().sum((-2, -1))
        advantage = reward - reward.mean()
        for _ in range(2):
            loss = clipped(centred_log_ratio(x, Gaussian(mean, std), old, ALL), advantage, 0.2).mean()
            loss = loss + beta * divergence(Gaussian(mean, std), still, ALL)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        trail.append(mean.item())
    assert np.mean(trail[-100:]) == pytest.approx(4 / (2 + beta), abs=0.05)


def test_advantages_by_hand():
    reward = torch.tensor([[1.0, 2.0, 3.0]])
    value = torch.tensor([[0.5, 1.0, 1.5, 2.0]])
    alive = torch.ones(1, 3, dtype=torch.bool)
    advantage, returns = frame_advantage(reward, value, alive, gamma=0.5, trace=0.5)
    errors = [1 + 0.5 - 0.5, 2 + 0.75 - 1.0, 3 + 1.0 - 1.5]
    last = errors[2]
    middle = errors[1] + 0.25 * last
    first = errors[0] + 0.25 * middle
    torch.testing.assert_close(advantage, torch.tensor([[first, middle, last]]))
    torch.testing.assert_close(returns, advantage + value[:, :-1])


def test_nothing_counts_after_the_end():
    reward = torch.tensor([[1.0, 2.0, 100.0]])
    value = torch.tensor([[0.0, 0.0, 50.0, 50.0]])
    alive = torch.tensor([[True, True, False]])
    advantage, _ = frame_advantage(reward, value, alive, gamma=0.9, trace=1.0)
    torch.testing.assert_close(advantage, torch.tensor([[1 + 0.9 * 2, 2.0, 0.0]]))


def test_groups_are_compared_within_themselves():
    reward = torch.tensor([[0.0, 0.0], [2.0, 2.0], [5.0, 5.0], [5.0, 5.0]])
    found = group_advantage(reward, torch.ones(4, 2, dtype=torch.bool), group=2)
    half = 1 / math.sqrt(2)
    torch.testing.assert_close(found[:, 0], torch.tensor([-half, half, 0.0, 0.0]), atol=1e-6, rtol=0)


def test_early_steps_count_less():
    found = step_advantage(torch.tensor([[2.0]]), 3, 0.5)
    assert found.flatten().tolist() == [0.5, 1.0, 2.0]


def test_noise_stays_within_its_bounds_and_starts_in_the_middle():
    noise = BoundedNoise((2, 3), 1, low=0.02, high=0.08)
    latent, action = torch.randn(5, 2, 3), torch.zeros(5, 1)
    std = noise.step(latent, latent, latent, action, 1.0, 0.0).std
    torch.testing.assert_close(std, torch.full_like(std, 0.04))
    with torch.no_grad():
        for parameter in noise.parameters():
            parameter.normal_(0, 30)
    std = noise.step(latent, latent, latent, action, 1.0, 0.0).std
    assert 0.02 - 1e-6 <= std.min() and std.max() <= 0.08 + 1e-6
    with pytest.raises(Exception, match="0 < low <= high"):
        BoundedNoise((2, 3), 1, low=0.1, high=0.01)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_without_noise_a_chain_is_the_sampler(steps):
    y, answer = torch.randn(3, 2, 2), torch.randn(3, 2, 2)
    for level, lower in levels(steps):
        y = Still().step(y, answer, y, y[:, 0], level, lower).mean
    torch.testing.assert_close(y, answer)


def test_groups_that_fare_far_worse_than_most_teach_nothing() -> None:
    reward = torch.tensor([-0.2, -0.3, -0.3, -0.2, -0.9, -0.8]).unsqueeze(1)
    judged = torch.ones(6, 1, dtype=torch.bool)
    assert usual(reward, judged, 2).squeeze(1).tolist() == [True, True, True, True, False, False]
    judged[2] = False  # a group of which not all are judged does not say what is usual
    assert usual(reward, judged, 2).squeeze(1).tolist() == [True, True, True, True, True, True]
