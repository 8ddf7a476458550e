"""What must not be lost while a generator is tuned, measured on held-out real clips and dreams from their starts.

# B dreams, T frames, N tokens, C channels
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from wmenv import WorldModel

from .chain import Still
from .dreams import Context, dream
from .drivers import Recorded
from .policy_gradient import used_numbers
from .real_data import RealData

ROWS, FRAMES, SEED = 128, 24, 72


class Figures(NamedTuple):
    """Of one model, on clips that are always the same."""

    kept_loss: float  # supervised loss on the episodes kept apart; 1: as bad as copying the last frame
    energy: float  # mean square change of a frame in dreams, in units of real clips'
    sensitivity: float  # root mean square change of the next frame when the action is another one, in usual changes
    diversity: float  # spread between dreams from different starts, in units of that between real clips


@torch.no_grad()
def figures(model: WorldModel, real: RealData) -> Figures:
    """Measures a model in a second or two."""
    generator = torch.Generator().manual_seed(SEED)
    context, true, reached = real.cut(model, FRAMES, ROWS, generator, kept=True)
    used, steps = used_numbers(model), model.config.denoise_steps
    dreams = dream(model, context, Recorded(), None, FRAMES, steps, generator)
    here, last = reached & dreams.alive, context.latents[:, -1:]
    return Figures(
        kept_loss=real.kept_loss(model),
        energy=_energy(model, last, dreams.latents, here, used) / _energy(model, last, true, here, used),
        sensitivity=_sensitivity(model, context, steps, used),
        diversity=_spread(dreams.latents, here, used) / _spread(true, here, used),
    )


def _energy(model: WorldModel, last: Tensor, latents: Tensor, here: Tensor, used: Tensor) -> float:
    change = torch.cat((last, latents), dim=1).diff(dim=1) / model.dynamics.delta_scale
    return float(change.square()[..., used].mean(-1)[here].mean())


def _spread(latents: Tensor, here: Tensor, used: Tensor) -> float:
    """Root mean square distance from the mean of all rows, averaged over frames."""
    flat, weight = latents[..., used], here.float().unsqueeze(-1)
    count = weight.sum(0).clamp(min=1)
    mean = (flat * weight).sum(0) / count
    variance = ((flat - mean).square() * weight).sum(0) / count
    return float(variance.mean(-1)[here.any(0)].sqrt().mean())


def _sensitivity(model: WorldModel, context: Context, steps: int, used: Tensor) -> float:
    """Between the frames that follow the recorded action and that of another row."""
    frames = []
    for action in (context.recorded, context.recorded.roll(1, dims=0)):
        same = torch.Generator().manual_seed(SEED)
        frames.append(dream(model, context._replace(recorded=action), Recorded(), Still(), 1, steps, same).latents)
    apart = (frames[0] - frames[1]) / model.dynamics.delta_scale
    return float(apart[..., used].square().mean().sqrt())
