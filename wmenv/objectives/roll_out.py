"""Clips as the model itself dreams them: contexts for objectives that teach it to go on from its own frames.

# B rows, F frames, N tokens, C channels, S steps
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..data.windows import Clip
from ..dynamics import Dynamics, NextFrame, new_cache
from ..sampling import denoise
from ..types import LATENT_BOUND

Project = Callable[[Tensor], Tensor]
"""The nearest latents (..., N, C) that some observation has: a tokenizer's `project`."""

CLIPS_PER_DREAM = 3  # one in so many ends in the model's own frames


@torch.no_grad()
def roll_out(dynamics: Dynamics, project: Project, clip: Clip, own: Tensor, noise: Tensor) -> Tensor:
    """Latents (B, F, N, C): dreamed from the clip's actions where `own` (B, F), recorded elsewhere.

    `noise` is (B, F, S, N, C).
    """
    cache, base = new_cache(dynamics, len(clip.latent)), clip.first
    clean = base.new_zeros(1)
    frames = []
    for t in range(clip.latent.shape[1]):
        frame = NextFrame.begin(dynamics, cache, clip.action[:, t])
        latent = clip.latent[:, t]
        if own[:, t].any():
            dreamed = project(denoise(frame, base, noise[:, t])).clamp(-LATENT_BOUND, LATENT_BOUND)
            latent = torch.where(own[:, t, None, None], dreamed, latent)
        cache = frame.commit(base, latent, clean, clip.valid[:, t])
        frames.append(latent)
        base = latent
    return torch.stack(frames, dim=1)


def own_past(dynamics: Dynamics, project: Project, clip: Clip, frames: int, generator: torch.Generator) -> Tensor:
    """The clips' latents (B, F, N, C); of a third of the clips, rounded down, the last `frames` are dreamed.

    They go on from the clip's first frames by its actions, in one denoising step each (Data as Demonstrator:
    Venkatraman, Hebert and Bagnell 2015, Improving Multi-Step Prediction of Learned Time Series Models). Float32 also
    under autocast: what rounds differently is not the dream that the model will have.
    """
    rows, length = clip.valid.shape
    count = rows // CLIPS_PER_DREAM
    if not count:
        return clip.latent
    device = clip.latent.device
    some = Clip(*(field[rows - count :] for field in clip))
    own = some.target & (torch.arange(length, device=device) >= length - frames)
    noise = torch.randn(count, length, 1, *clip.latent.shape[2:], generator=generator).to(device)
    with torch.autocast(device.type, enabled=False):
        dreamed = roll_out(dynamics, project, some, own, noise)
    return torch.cat((clip.latent[: rows - count], dreamed))
