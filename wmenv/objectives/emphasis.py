"""How much an error of the dynamics counts: the less latents usually change in its direction, the more.

Which prediction is best on average does not depend on that; which errors remain after a short training does. A camera
that follows a cart shows its way along the rail by little else than the ground's edges. With all directions alike, a
network took the pole's swing, which moves four times as much of the latent, to a twelfth of its size and the cart's way
to a quarter: it guessed some of the cart's speed from the pole's, and in dreams carts were slow. So errors are
weighed by the inverse of what is usual in their direction (whitening), as generalised least squares does
(Aitken 1936, On Least Squares and Linear Combinations of Observations).

# M changes, N tokens, C channels
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 65_536  # changes in double precision at a time: a long recording has millions
STILL = 1e-6  # usual changes squared: a recording that moves less than that does not move
FLOOR = 0.1  # usual changes squared: what moves less is mostly an encoder's own unrest, which nobody can foresee


@torch.no_grad()
def whitener(change: Tensor, floor: float = FLOOR) -> Tensor:
    """The matrix (N * C, N * C) by which errors are multiplied before they are squared.

    It is scaled so that the mean square of the changes themselves is 1: that is the loss of copying the last frame.
    Where nothing moves it is the identity.

    Args:
        change: (M, N, C) recorded changes from frame to frame, in usual changes.
        floor: added to what is usual in every direction.
    """
    parts = (part.double() for part in change.flatten(1).split(CHUNK))
    usual, direction = torch.linalg.eigh(torch.stack([part.T @ part for part in parts]).sum(0) / len(change))
    usual = usual.clamp(min=0)
    if usual.mean() < STILL:
        return torch.eye(len(usual), device=change.device, dtype=change.dtype)
    weight = 1 / (usual + floor)
    weight = weight / (weight * usual).mean()
    return (direction * weight.sqrt()).to(change.dtype)


def whitened_error(error: Tensor, matrix: Tensor) -> Tensor:
    """Errors (..., N, C) as `matrix` of `whitener` weighs them: (...), mean square over a frame."""
    with torch.autocast(
        error.device.type, enabled=False
    ):  # eight bits of mantissa would mix large directions with small
        return (error.float().flatten(-2) @ matrix).square().mean(-1)
