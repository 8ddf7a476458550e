"""Consistency distillation to S steps: from anywhere on a path of the teacher's flow to where it leaves the stretch.

Noise levels are cut into S stretches. For S = 1 that is a consistency model (arXiv 2303.01469): from anywhere on the
path to its end. For S > 1 it is a multistep consistency model (arXiv 2403.06807): the network need not be told where to
jump, since the stretch that a level lies in says it, and the sampler's S Euler steps land on the teacher's path without
noise being added on the way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.windows import Clip
from ..distill_config import DistillConfig
from ..dynamics import Dynamics
from .jump import draw_jumps, jump_loss


def consistency_loss(
    student: Dynamics, teacher: Dynamics, clip: Clip, config: DistillConfig, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and its part 'jump'; see `wmenv.objectives.jump`."""
    shape = (clip.valid.shape[0], clip.valid.shape[1])
    jump = draw_jumps(shape, (config.steps,), config.grid, config.stride, config.aimed, generator)
    return jump_loss(student, teacher, clip, jump, config.grid, generator)
