"""One pass over frames that stand at different places: some just begun, some half denoised, each in a row of its own.

`NextFrame` takes all rows through a frame in step. Here every frame has its own noise level, and a row may sit out, so
that rows which begin, wait and end at different times still share forwards. It is held to `NextFrame` by tests.

# B rows of a cache, K frames in the making, J frames that are due, N tokens, C channels, A action size
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import silu

from ..cache import FrameCache
from .dit import Dynamics
from .next_frame import Due, pass_block, turning


class Making(NamedTuple):
    """Frames in the making, each in another row."""

    rows: Tensor  # (K,) long
    base: Tensor  # (K, N, C) the latent before each
    noised: Tensor  # (K, N, C) y at `level`
    action: Tensor  # (K, A) in [-1, 1]
    level: Tensor  # (K,) noise levels
    lower: Tensor  # (K,) levels that they go to next, see `Dynamics.aim`


@torch.no_grad()
def estimate_some(dynamics: Dynamics, cache: FrameCache, making: Making, due_rows: Tensor, due: Due) -> Tensor:
    """Estimate y (K, N, C) of frames in the making, and settle what is due in some rows on the way.

    Args:
        dynamics: the network.
        cache: of B rows, written in place: the keys and values of what is due, and the free slots.
        making: the frames. A row whose newest frame is due must be among `due_rows`.
        due_rows: (J,) long, rows whose newest frame is due.
        due: what is due in them, J frames.
    """
    rows, settling = torch.cat((due_rows, making.rows)), len(due_rows)
    is_due = torch.arange(len(rows), device=rows.device) < settling
    turn = turning(dynamics, cache.position[rows] - is_due.long(), cache.dtype)
    clean = dynamics.level(making.level.new_zeros(1), target=False).expand(settling, -1)
    held = torch.cat((clean, dynamics.aim(making.level, making.lower)))
    condition = silu(dynamics.action(torch.cat((due.action, making.action))) + held)
    change = (due.latent - due.base) / dynamics.delta_scale
    x = dynamics.tokens(torch.cat((change, making.noised)), torch.cat((due.latent, making.base)))
    view, last = cache.view_some(rows, is_due), len(dynamics.blocks) - 1
    for layer in range(last):
        x = pass_block(dynamics, cache, view, layer, x, condition, turn)
    if settling:
        view = cache.view_some(due_rows, is_due[:settling])
        pass_block(dynamics, cache, view, last, x[:settling], condition[:settling], turn[:settling], keys_only=True)
    x, condition, turn = x[settling:], condition[settling:], turn[settling:]
    view = cache.view_some(making.rows, is_due[settling:])
    return dynamics.answer(pass_block(dynamics, cache, view, last, x, condition, turn), condition)
