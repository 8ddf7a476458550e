"""How noise becomes a frame: Euler steps along the line from noise to the estimated change.

The state of a frame being denoised is y_tau = (1 - tau) y + tau eps. Given the estimate y_hat, the noise in it is
eps_hat = (y_tau - (1 - tau) y_hat) / tau, and the next state is (1 - tau') y_hat + tau' eps_hat. One step from tau = 1
to 0 returns y_hat itself: the expected change. An any-step network is told tau' and answers with the y_hat for which
this same step lands where the flow does (see `wmenv.objectives.jump`).

# B rows, F frames, N tokens, C channels, A action size, S steps, R rounds
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..dynamics import Dynamics, NextFrame
from .schedule import check_schedule


def euler(noised: Tensor, answer: Tensor, level: Tensor, lower: Tensor) -> Tensor:
    """Y at `lower` from y at `level` and the estimate; levels broadcast against (..., N, C)."""
    noise = (noised - (1 - level) * answer) / level.clamp(min=1e-6)
    return torch.where(level > 0, (1 - lower) * answer + lower * noise, noised)


def denoise(frame: NextFrame, base: Tensor, noise: Tensor) -> Tensor:
    """The next latent (B, N, C) of every dream.

    Args:
        frame: begun and not yet committed.
        base: (B, N, C) last committed latent.
        noise: (B, S, N, C) standard normal; S steps are made. The first is where the flow starts; the others are for
            samplers that add noise on the way (`agents.align` has one).
    """
    steps = noise.shape[1]
    noised = noise[:, 0]
    for step in range(steps):
        level, lower = (torch.full((1,), 1 - s / steps, device=base.device) for s in (step, step + 1))
        answer = frame.estimate(base, noised, level, lower)
        noised = euler(noised, answer, level, lower)
    return base + frame.dynamics.delta_scale * noised


def at_rest(answer: Tensor, before: Tensor, tolerance: float) -> Tensor:
    """Where (B,) an estimate of y (B, N, C) has changed by less than `tolerance` in a step (root mean square).

    What more steps could still change is small then: a measure of how hard a frame is that costs nothing.
    """
    return (answer - before).square().mean((1, 2)).sqrt() < tolerance


def halving(step: int, steps: int) -> float:
    """The noise level before a step, 1/2 of that before the last one; 0 after all of them.

    For samplers that end early: even levels lie so close at first that an estimate hardly changes however hard its
    frame is (benchmarks/budget.py).
    """
    return 0.0 if step >= steps else 2.0**-step


class RestingSampler:
    """A sampler whose rows end early, once they are `at_rest`: such a row goes to its last estimate.

    Noise is halved in every step. A batch in step gains nothing by ends; this sampler says what
    `wmenv.envs.AsyncDreamVectorEnv` dreams, where rows that have ended make room.

    Args:
        tolerance: see `at_rest`.
    """

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.frames = self.passes = 0
        """Frames so far, and the passes that they needed."""

    def __call__(self, frame: NextFrame, base: Tensor, noise: Tensor) -> Tensor:
        """As `denoise`."""
        steps = noise.shape[1]
        noised, before = noise[:, 0], torch.zeros_like(base)
        moving = torch.ones(len(base), dtype=torch.bool, device=base.device)
        for step in range(steps):
            level, lower = (torch.full((1,), halving(s, steps), device=base.device) for s in (step, step + 1))
            answer = frame.estimate(base, noised, level, lower)
            self.passes += int(moving.sum())
            rests = at_rest(answer, before, self.tolerance) if step else torch.zeros_like(moving)
            to = torch.where(rests, 0.0, lower)[:, None, None]
            noised = torch.where(moving[:, None, None], euler(noised, answer, level, to), noised)
            moving, before = moving & ~rests, answer
        self.frames += len(base)
        return base + frame.dynamics.delta_scale * noised


def sample_clip(
    dynamics: Dynamics, past: Tensor, past_action: Tensor, action: Tensor, noise: Tensor, schedule: Tensor
) -> Tensor:
    """Dream F frames under any noise schedule, by the parallel form (no cache).

    Args:
        dynamics: the network.
        past: (B, P, N, C) clean latents before the clip, P >= 1.
        past_action: (B, P, A) actions that led to them.
        action: (B, F, A) actions that lead to the F new frames.
        noise: (B, F, N, C) standard normal.
        schedule: (R + 1, F) noise levels, see `wmenv.sampling.schedule`.

    Returns:
        (B, F, N, C) latents.

    Raises:
        InputError: if the schedule does not fit.
    """
    frames, known = noise.shape[1], past.shape[1]
    check_schedule(schedule, frames)
    schedule = schedule.to(past.device)  # those of wmenv.sampling.schedule lie on the CPU
    rows = past.shape[0]
    actions = torch.cat((past_action, action), dim=1)
    valid = torch.ones(rows, known + frames, dtype=torch.bool, device=past.device)
    noised = noise
    for levels, lower in zip(schedule[:-1], schedule[1:], strict=True):
        current = past[:, -1:] + (dynamics.delta_scale * noised).cumsum(1)
        context = torch.cat((past, current), dim=1)
        level, aim = (torch.cat((levels.new_zeros(known), x)).expand(rows, -1) for x in (levels, lower))
        target = torch.cat((torch.zeros_like(past), noised), dim=1)
        answer = dynamics(context, level, target, level, actions, valid, past[:, 0], aim)[:, known:]
        noised = euler(noised, answer, levels[:, None, None], lower[:, None, None])
    return past[:, -1:] + (dynamics.delta_scale * noised).cumsum(1)
