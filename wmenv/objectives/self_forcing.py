"""Self Forcing: the model dreams on from a recorded context, its own frames in its cache, and pays for where it drifts.

Every clip is dreamed M times with the recorded actions, as any dream is: frame by frame, through the cache, in S steps,
without gradients. What was dreamed then stands as the context of one parallel forward per denoising step, in which the
same noise makes the same frames, now with gradients: through a frame's own steps, not into its past (Self Forcing,
arXiv 2506.08009, section 3.2, where the cache carries no gradient either). What is scored is what a dream keeps of a
frame: brought to the nearest state and held within the bound of latents, as `WorldModel.imagine` does.

The loss is the energy score of each frame's M dreams x_i against the recorded frame z,

    mean_i |x_i - z| - 1/2 mean_{i != j} |x_i - x_j|,

in units of the usual change. It is strictly proper (Gneiting and Raftery 2007, Strictly Proper Scoring Rules, section
4.2): least, on average over recordings, for dreams that are distributed as recordings are. So it matches distributions,
and needs no critic or score network for it, since every recorded frame is paired with dreams of the same context and
actions. Regression, its first term alone, would ask dreams that went another way to come back to this recording, and so
teaches a model of a random task the mean; where nothing is random the two agree. (Training forecasts on their own
roll-outs by such scores: arXiv 2508.21664.)

# B rows, M roll-outs of each, P leading recorded frames, F frames, N tokens, C channels, S steps
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.windows import Clip
from ..distill_config import DistillConfig
from ..dynamics import Dynamics
from ..sampling import euler
from ..types import LATENT_BOUND
from .roll_out import Project, roll_out

SOFT = 1e-4  # squared distance below which a distance is smooth, in squared usual changes


def self_forcing_loss(
    dynamics: Dynamics, project: Project, clip: Clip, config: DistillConfig, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """The energy score of roll-outs from frame W of the clip on, and its parts 'error' and 'spread'."""
    lead, many = dynamics.config.window, config.rollouts
    device = clip.latent.device
    rolled = Clip(*(field.repeat_interleave(many, 0) for field in clip))
    rows, frames, *latent = rolled.latent.shape
    noise = torch.randn(rows, frames, config.steps, *latent, generator=generator).to(device)
    own = rolled.target & (torch.arange(frames, device=device) >= lead)
    past = roll_out(dynamics, project, rolled, own, noise)
    dreamed = again(dynamics, project, rolled, past, noise)
    return energy_score(dreamed.unflatten(0, (-1, many)), clip.latent, own[::many], dynamics.delta_scale)


def again(dynamics: Dynamics, project: Project, clip: Clip, past: Tensor, noise: Tensor) -> Tensor:
    """The frames (B, F, N, C) that `noise` (B, F, S, N, C) makes after contexts `past`, with gradients."""
    base = torch.cat((clip.first.unsqueeze(1), past[:, :-1]), dim=1)
    clean = past.new_zeros(past.shape[:2])
    steps, y = noise.shape[2], noise[:, :, 0]
    for step in range(steps):
        level, lower = (torch.full_like(clean, 1 - s / steps) for s in (step, step + 1))
        answer = dynamics(past, clean, y, level, clip.action, clip.valid, clip.first, lower)
        y = euler(y, answer, level[..., None, None], lower[..., None, None])
    # Gradients flow through the projection, which leaves the length of an angle's cosine and sine alone: none sees it.
    # Led past it, they would point along the chord to the recorded angle and shorten that length until it is lost.
    kept = project(base + dynamics.delta_scale * y)
    # They are led past the clamp: a number beyond the bound would have none that brings it back.
    return kept.clamp(-LATENT_BOUND, LATENT_BOUND).detach() + (kept - kept.detach())


def energy_score(dreamed: Tensor, real: Tensor, counts: Tensor, scale: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The score of dreams (B, M, F, N, C) of what really came (B, F, N, C), over the frames that count (B, F).

    Lengths are root mean squares over the numbers of a frame, in units of `scale` (N, C).
    """
    many, weight = dreamed.shape[1], counts.float()

    def length(difference: Tensor) -> Tensor:
        return ((difference / scale).square().mean((-2, -1)) + SOFT).sqrt() - SOFT**0.5

    def mean(value: Tensor) -> Tensor:
        return (value * weight).sum() / weight.sum().clamp(min=1)

    error = mean(length(dreamed - real.unsqueeze(1)).mean(1))
    pairs = [length(dreamed[:, i] - dreamed[:, j]) for i in range(many) for j in range(i)]
    spread = mean(torch.stack(pairs).mean(0))
    loss = error - spread / 2
    return loss, {"score": loss, "error": error, "spread": spread}
