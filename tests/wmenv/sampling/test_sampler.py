"""Sampling against a flow whose answer is known in closed form, and the two ways to dream a clip against each other.

The flow: y is Gaussian with mean m and spread s, so E[y | y_tau] is linear in y_tau and the exact path from noise eps
ends at m + s eps.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tests.wmenv.tiny import next_frame, random_dynamics
from wmenv.dynamics import new_cache
from wmenv.errors import InputError
from wmenv.sampling import autoregressive, denoise, full_sequence, pyramid, sample_clip, sampler

MEAN, SPREAD = 0.7, 0.4
B, N, C, A = 3, 3, 2, 2


def expected(noised: Tensor, level: Tensor) -> Tensor:
    """E[y | y_tau] of the Gaussian."""
    gain = (1 - level) * SPREAD**2 / ((1 - level) ** 2 * SPREAD**2 + level**2)
    return MEAN + gain * (noised - (1 - level) * MEAN)


@pytest.fixture
def gaussian() -> SimpleNamespace:
    """A frame whose expected change is known at every level."""
    dynamics = SimpleNamespace(delta_scale=torch.tensor(2.0, dtype=torch.float64))
    return SimpleNamespace(dynamics=dynamics, estimate=lambda base, noised, level, lower: expected(noised, level))


def noise(steps: int, *shape: int) -> Tensor:
    shape = shape or (N, C)
    return torch.randn(B, steps, *shape, generator=torch.Generator().manual_seed(steps), dtype=torch.float64)


def test_one_step_gives_the_expected_change(gaussian):
    base = noise(9)[:, 0]
    after = denoise(gaussian, base, noise(1))
    torch.testing.assert_close(after, base + 2 * MEAN)


def test_many_steps_follow_the_flow(gaussian):
    """Euler's error falls as 1 / S: halving the step halves it."""
    base, errors = noise(9)[:, 0], []
    start = noise(1)
    for steps in (64, 128, 256):
        eps = torch.cat((start, noise(steps)[:, 1:]), 1)
        after = denoise(gaussian, base, eps)
        errors.append((after - base - 2 * (MEAN + SPREAD * start[:, 0])).abs().max().item())
    assert errors[2] < 0.02
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.2) and errors[1] / errors[2] == pytest.approx(2, abs=0.2)


def test_euler_at_its_ends():
    noised, answer = noise(2).unbind(1)
    one, zero = torch.ones(()), torch.zeros(())
    torch.testing.assert_close(sampler.euler(noised, answer, one, zero), answer)
    torch.testing.assert_close(sampler.euler(noised, answer, one, one), noised)
    assert torch.equal(sampler.euler(noised, answer, zero, zero), noised), "a finished frame is left alone"
    half, between = torch.tensor(0.5), (answer + noised) / 2
    torch.testing.assert_close(sampler.euler(between, answer, half, zero), answer)
    torch.testing.assert_close(sampler.euler(between, answer, half, half / 2), 0.75 * answer + 0.25 * noised)


def test_a_path_through_the_truth_stays_on_the_line():
    """With the right answer, every level of the line from eps to y is reached exactly."""
    y, eps = noise(2).unbind(1)
    at, levels = eps, torch.linspace(1, 0, 6, dtype=torch.float64)
    for level, lower in zip(levels[:-1], levels[1:], strict=True):
        at = sampler.euler(at, y, level, lower)
        torch.testing.assert_close(at, (1 - lower) * y + lower * eps)


def cached(dynamics, past: Tensor, past_action: Tensor, action: Tensor, eps: Tensor, steps: int) -> Tensor:
    """A clip dreamed step by step over the ring."""
    cache, base, clean = new_cache(dynamics, B), past[:, 0], torch.zeros(B, dtype=torch.float64)
    for t in range(past.shape[1]):
        cache = next_frame(dynamics, cache, past_action[:, t]).commit(base, past[:, t], clean)
        base = past[:, t]
    frames = []
    for t in range(action.shape[1]):
        start = eps[:, t].unsqueeze(1).expand(-1, steps, -1, -1)
        frame = next_frame(dynamics, cache, action[:, t])
        frames.append(denoise(frame, base, start))
        cache = frame.commit(base, frames[-1], clean)
        base = frames[-1]
    return torch.stack(frames, 1)


@pytest.mark.parametrize("past_frames", [1, 3, 7])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_the_autoregressive_matrix_is_the_cached_dream(past_frames: int, steps: int):
    """Equal for any length of past (window 4): both see the same W frames, each of which saw the same before it.

    Numbers of steps are powers of two, whose levels float32 holds exactly.
    """
    dynamics, frames = random_dynamics(), 6
    past, eps = noise(past_frames), noise(frames)
    past_action, action = noise(past_frames, A).tanh(), noise(frames, A).tanh()
    clip = sample_clip(dynamics, past, past_action, action, eps, autoregressive(frames, steps).double())
    torch.testing.assert_close(clip, cached(dynamics, past, past_action, action, eps, steps), rtol=0, atol=1e-9)


@pytest.mark.parametrize("make", [full_sequence, pyramid])
def test_other_schedules_dream_whole_clips_too(make):
    """Their first frame sees clean frames alone, so it is the cached dream's; the others see noisy ones and differ."""
    dynamics, frames, steps = random_dynamics(), 4, 4
    past, eps, past_action, action = noise(2), noise(frames), noise(2, A).tanh(), noise(frames, A).tanh()
    clip = sample_clip(dynamics, past, past_action, action, eps, make(frames, steps).double())
    wanted = cached(dynamics, past, past_action, action, eps, steps)
    torch.testing.assert_close(clip[:, 0], wanted[:, 0], rtol=0, atol=1e-9)
    assert (clip[:, 1:] - wanted[:, 1:]).abs().amax((0, 2, 3)).min() > 1e-4


def test_a_schedule_goes_where_the_clip_lies():
    """Schedules are made on the CPU; here the clip lies on a device that computes shapes alone."""
    dynamics, clip = (
        random_dynamics().to("meta"),
        [x.to("meta") for x in (noise(2), noise(2, A), noise(4, A), noise(4))],
    )
    assert sample_clip(dynamics, *clip, pyramid(4, 2).double()).shape == (B, 4, N, C)


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_an_untrained_model_dreams_the_last_frame(steps: int):
    dynamics = random_dynamics()
    dynamics.head.weight.zero_(), dynamics.head.bias.zero_()
    base = noise(9)[:, 0]
    frame = next_frame(dynamics, new_cache(dynamics, B), torch.zeros(B, A).double())
    after = denoise(frame, base, noise(steps))
    torch.testing.assert_close(after, base, rtol=0, atol=1e-9)


def test_the_steps_are_the_levels_that_were_trained(gaussian):
    levels = []

    def spy(base, noised, level, lower):
        levels.append((level.item(), lower.item()))
        return noised

    gaussian.estimate = spy
    denoise(gaussian, noise(9)[:, 0], noise(4))
    assert levels == [(1, 0.75), (0.75, 0.5), (0.5, 0.25), (0.25, 0)]


def test_a_schedule_for_other_frames_is_refused():
    dynamics = random_dynamics()
    with pytest.raises(InputError, match=r"^schedule: expected shape \(rounds \+ 1, 2\), got \(4, 3\)"):
        sample_clip(dynamics, noise(1), noise(1, A), noise(2, A), noise(2), full_sequence(3, 3))
