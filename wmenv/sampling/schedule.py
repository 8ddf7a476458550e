"""Noise schedules as matrices: entry [r, f] is the noise level of frame f after round r.

Row 0 is all ones (pure noise), the last row all zeros (done), and no level ever rises. One forward of the dynamics
takes a clip from row r to row r + 1, so every way of dreaming a clip - frame by frame, all frames at once, a pyramid in
between - is a matrix, not code. Source: diffusion forcing, arXiv 2407.01392, section 3.3 (the scheduling matrix K).

# R rounds, F frames, S steps per frame
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError


def autoregressive(frames: int, steps: int) -> Tensor:
    """Each frame is finished in `steps` rounds before the next one begins: (F * S + 1, F)."""
    return _staircase(frames, steps, delay=steps)


def pyramid(frames: int, steps: int, *, delay: int = 1) -> Tensor:
    """Each frame begins `delay` rounds after the one before: ((F - 1) * delay + S + 1, F)."""
    return _staircase(frames, steps, delay=delay)


def full_sequence(frames: int, steps: int) -> Tensor:
    """All frames together: (S + 1, F)."""
    return _staircase(frames, steps, delay=0)


def _staircase(frames: int, steps: int, *, delay: int) -> Tensor:
    if frames < 1 or steps < 1 or delay < 0:
        raise InputError(f"schedule: expected frames >= 1, steps >= 1, delay >= 0, got {frames}, {steps}, {delay}")
    rounds = torch.arange((frames - 1) * delay + steps + 1).unsqueeze(1)
    done = (rounds - torch.arange(frames) * delay).clamp(0, steps)
    return 1 - done / steps


def check_schedule(matrix: Tensor, frames: int) -> None:
    """Raise InputError unless `matrix` is a schedule for `frames` frames."""
    shaped = matrix.ndim == 2 and matrix.shape[0] >= 2 and matrix.shape[1] == frames
    if not shaped:
        raise InputError(f"schedule: expected shape (rounds + 1, {frames}), got {tuple(matrix.shape)}")
    falls = bool((matrix[1:] <= matrix[:-1]).all())
    if not (falls and bool((matrix[0] == 1).all()) and bool((matrix[-1] == 0).all())):
        raise InputError("schedule: expected levels that begin at 1, end at 0 and never rise; see wmenv.sampling")
