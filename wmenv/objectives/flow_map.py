"""An any-step flow map: one network, told where it stands and where it is to jump, for 1, 2, 4, ... steps a frame.

Source: consistency trajectory models (arXiv 2310.02279) and flow map matching (arXiv 2406.07507); for video AnyFlow
(arXiv 2605.13724). As there, the steps of a sampler lie on one path of the teacher's flow, so that more of them cost
more and stray less. The jumps learned are those of samplers with 1, 2, 4, ... G equal steps and all shorter ones to the
same ends, no others: that is all that dreams make, and all that the targets of longer ones need.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.windows import Clip
from ..distill_config import DistillConfig
from ..dynamics import Dynamics
from .jump import draw_jumps, jump_loss


def flow_map_loss(
    student: Dynamics, teacher: Dynamics, clip: Clip, config: DistillConfig, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and its part 'jump'; see `wmenv.objectives.jump`."""
    shape = (clip.valid.shape[0], clip.valid.shape[1])
    jump = draw_jumps(shape, step_counts(config.grid), config.grid, config.stride, config.aimed, generator)
    return jump_loss(student, teacher, clip, jump, config.grid, generator)


def step_counts(grid: int) -> list[int]:
    """The step counts that a flow map of this grid serves: 1, 2, 4, ... up to `grid`, a power of two."""
    return [2**i for i in range(grid.bit_length())]
