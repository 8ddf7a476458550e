"""Schedules: their shape in numbers, and that a matrix which is none is refused."""

from __future__ import annotations

import pytest
import torch

from wmenv.errors import InputError
from wmenv.sampling import autoregressive, full_sequence, pyramid
from wmenv.sampling.schedule import check_schedule


def test_known_matrices():
    assert full_sequence(3, 2).tolist() == [[1, 1, 1], [0.5, 0.5, 0.5], [0, 0, 0]]
    assert autoregressive(2, 2).tolist() == [[1, 1], [0.5, 1], [0, 1], [0, 0.5], [0, 0]]
    assert pyramid(3, 2).tolist() == [[1, 1, 1], [0.5, 1, 1], [0, 0.5, 1], [0, 0, 0.5], [0, 0, 0]]
    assert torch.equal(pyramid(3, 2, delay=2), autoregressive(3, 2))
    assert torch.equal(pyramid(3, 2, delay=0), full_sequence(3, 2))


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_every_schedule_passes_its_own_check(frames: int, steps: int):
    for matrix in (autoregressive(frames, steps), full_sequence(frames, steps), pyramid(frames, steps, delay=3)):
        check_schedule(matrix, frames)
        assert (matrix - (matrix * steps).round() / steps).abs().max() < 1e-6, "levels are multiples of 1 / S"


@pytest.mark.parametrize(
    "matrix",
    [
        torch.ones(3),
        torch.ones(1, 2),
        torch.tensor([[1.0], [0.0]]),
        torch.tensor([[1.0, 1.0], [0.5, 0.0]]),
        torch.tensor([[1.0, 0.9], [0.0, 0.0]]),
        torch.tensor([[1.0, 1.0], [0.2, 0.5], [0.3, 0.2], [0.0, 0.0]]),
        torch.tensor([[1.0, 1.0], [float("nan"), 0.5], [0.0, 0.0]]),
        torch.tensor([[1.0, 1.0], [0.5, -0.5], [0.0, 0.0]]),
    ],
    ids=["one axis", "one row", "other frames", "unfinished", "begun", "rising", "nan", "negative"],
)
def test_a_matrix_that_is_no_schedule(matrix: torch.Tensor):
    with pytest.raises(InputError, match="^schedule: expected"):
        check_schedule(matrix, 2)


@pytest.mark.parametrize(("frames", "steps", "delay"), [(0, 1, 1), (1, 0, 1), (2, 2, -1)])
def test_impossible_sizes(frames: int, steps: int, delay: int):
    with pytest.raises(InputError, match="^schedule: expected frames >= 1"):
        pyramid(frames, steps, delay=delay)
