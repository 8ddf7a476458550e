"""Learning to jump along a teacher's flow: what consistency distillation and the any-step flow map have in common.

The teacher's flow carries y_t along dy/dt = (y_t - m(y_t, t)) / t, m its estimate of y. Where it stands at r < t can be
written as one Euler step with another answer g in the place of m:

    X(y_t, t, r) = (r / t) y_t + (1 - r / t) g(y_t, t, r).

So the sampler stays what it is; only the answer changes. g(y_t, t, t) = m, and g(y_t, t, 0) is where the flow ends: the
consistency function. X does not depend on where on its path the jump begins, so that for t > s > r

    X(y_t, t, r) = X(y_s, s, r),   y_s where the teacher goes from y_t in a few steps,

and, solved for g, that is a target for the student (consistency trajectory models, arXiv 2310.02279, section 3.2; for
r = 0 consistency distillation, arXiv 2303.01469, algorithm 2). Its weight in g is 1 at most: errors do not grow on
their way from s to t. As s goes to t it says r (m - g) = t (t - r) dg/dt, the identity of MeanFlow (arXiv 2505.13447,
equation 6) for this network. Contexts are recorded frames, as clean as those that a dream begins from; every frame has
a jump of its own, so that one forward teaches all frames of a clip (causal consistency distillation, arXiv 2605.15141).

# B rows, F frames, N tokens, C channels, G steps of the teacher from 1 to 0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..data.windows import Clip
from ..dynamics import Dynamics
from ..sampling import euler


class Jump(NamedTuple):
    """From noise level `begin` to `end`, past `middle`, up to which the teacher leads; multiples of 1 / G."""

    begin: Tensor  # (B, F) in (0, 1]
    middle: Tensor  # (B, F), end <= middle < begin
    end: Tensor  # (B, F)


def draw_jumps(
    shape: tuple[int, int], counts: Sequence[int], grid: int, stride: int, aimed: float, generator: torch.Generator
) -> Jump:
    """Jumps that samplers make, and shorter ones to the same end.

    Args:
        shape: (B, F).
        counts: step counts S of the samplers that are served, divisors of `grid`; each is as likely.
        grid: G.
        stride: steps of the teacher from `begin` to `middle`, fewer where `end` is nearer.
        aimed: share of jumps that begin where the sampler does; the others begin anywhere between there and the end.
        generator: of the draw, on the CPU.
    """

    def below(high: Tensor) -> Tensor:
        return (torch.rand(shape, generator=generator) * high).long()

    steps = torch.tensor(counts)[below(torch.tensor(len(counts)))]
    length = grid // steps
    end = below(steps) * length
    begin = end + torch.where(torch.rand(shape, generator=generator) < aimed, length, 1 + below(length))
    return Jump(*(level / grid for level in (begin, (begin - stride).maximum(end), end)))


def jump_loss(
    student: Dynamics,
    teacher: Dynamics,
    clip: Clip,
    jump: Jump,
    grid: int,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The squared error of g, in units of the usual change, and the same as the part 'jump'."""
    jump = Jump(*(level.to(clip.latent.device) for level in jump))
    base = torch.cat((clip.first.unsqueeze(1), clip.latent[:, :-1]), dim=1)
    change = (clip.latent - base) / teacher.delta_scale
    noise = torch.randn(change.shape, generator=generator).to(change)
    begin = jump.begin[..., None, None]
    noised = (1 - begin) * change + begin * noise
    with torch.no_grad():
        wanted = target(student, teacher, clip, noised, jump, grid)
    error = (answer(student, clip, noised, jump.begin, jump.end) - wanted).square().mean((-2, -1))
    weight = clip.target.float()
    loss = (error * weight).sum() / weight.sum()
    return loss, {"jump": loss}


def target(student: Dynamics, teacher: Dynamics, clip: Clip, noised: Tensor, jump: Jump, grid: int) -> Tensor:
    """G for which one step from `noised` (B, F, N, C) lands where teacher and student together do."""
    y = follow(teacher, clip, noised, jump.begin, jump.middle, grid)
    begin, middle, end = (level[..., None, None] for level in jump)
    on = euler(y, answer(student, clip, y, jump.middle, jump.end), middle, end)
    y = torch.where(middle > end, on, y)
    kept = end / begin
    return (y - kept * noised) / (1 - kept)


def follow(teacher: Dynamics, clip: Clip, noised: Tensor, begin: Tensor, end: Tensor, grid: int) -> Tensor:
    """Where the teacher's flow carries `noised` (B, F, N, C) from levels `begin` to `end` (B, F), in steps of 1 / G."""
    level = begin
    for _ in range(round(float((begin - end).max()) * grid)):
        lower = (level - 1 / grid).maximum(end)
        step = euler(noised, answer(teacher, clip, noised, level, None), level[..., None, None], lower[..., None, None])
        noised, level = torch.where((level > lower)[..., None, None], step, noised), lower
    return noised


def answer(dynamics: Dynamics, clip: Clip, noised: Tensor, level: Tensor, lower: Tensor | None) -> Tensor:
    """What the network says (B, F, N, C) where the contexts are the clip's own frames."""
    clean = torch.zeros_like(level)
    return dynamics(clip.latent, clean, noised, level, clip.action, clip.valid, clip.first, lower)
