"""Directions in which latents change little count as much as those in which they change a lot."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from wmenv.objectives import emphasis, whitener
from wmenv.objectives.emphasis import FLOOR, whitened_error

TOKENS, CHANNELS = 2, 3
SIZES = torch.tensor([1.0, 0.5, 0.7, 0.02, 0.9, 0.3])


@pytest.fixture
def change() -> Tensor:
    """(4096, 2, 3) changes that are correlated: their directions lie askew to the channels."""
    generator = torch.Generator().manual_seed(0)
    turned, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator))
    drawn = torch.randn(4096, 6, generator=generator) * SIZES
    return (drawn @ turned.T).unflatten(1, (TOKENS, CHANNELS))


def test_without_a_floor_all_directions_count_alike(change: Tensor):
    whitened = change.flatten(1) @ whitener(change, floor=1e-9)
    assert torch.allclose(whitened.T @ whitened / len(whitened), torch.eye(6), atol=1e-3)


@pytest.mark.parametrize("floor", [1e-9, 0.1, 10.0])
def test_copying_the_last_frame_costs_one(change: Tensor, floor: float):
    assert whitened_error(change, whitener(change, floor)).mean().item() == pytest.approx(1, rel=1e-4)


def test_a_high_floor_is_the_plain_error(change: Tensor):
    plain = change.square().mean((-2, -1))
    assert torch.allclose(whitened_error(change, whitener(change, 1e4)), plain / plain.mean(), rtol=1e-3)


def test_long_recordings_are_taken_in_parts(change: Tensor, monkeypatch: pytest.MonkeyPatch):
    whole = whitener(change)
    monkeypatch.setattr(emphasis, "CHUNK", 1000)
    square = whitener(change) @ whitener(change).T
    assert torch.allclose(square, whole @ whole.T, rtol=1e-4, atol=1e-5), "the same measure; its axes have no sign"


@pytest.mark.parametrize("size", [0.0, 1e-6])
def test_a_recording_in_which_nothing_moves_weighs_all_alike(change: Tensor, size: float):
    """To make the loss of copying it 1 would blow up every error."""
    assert torch.equal(whitener(change * size), torch.eye(6))


def test_a_channel_that_never_moves_counts_no_more_than_the_floor_lets_it(change: Tensor):
    matrix = whitener(change * torch.tensor([1.0, 0.0, 1.0]))
    weight = (matrix @ matrix.T).diagonal().view(TOKENS, CHANNELS)
    assert matrix.isfinite().all() and weight[:, 1].max() <= 1 / (FLOOR * 0.1)


def test_low_precision_around_it_changes_nothing(change: Tensor):
    matrix = whitener(change)
    with torch.autocast("cpu", torch.bfloat16):
        inside = whitened_error(change[:64], matrix)
    assert inside.dtype == torch.float32 and torch.equal(inside, whitened_error(change[:64], matrix))


def test_small_directions_are_learned_sooner(change: Tensor):
    """The same network, steps and data: what is left of the second smallest direction, as a share of it."""
    _, direction = torch.linalg.eigh(change.flatten(1).T @ change.flatten(1))

    def left(matrix: Tensor | None) -> float:
        torch.manual_seed(0)
        net = nn.Linear(6, 6)
        optimiser = torch.optim.SGD(net.parameters(), 0.1)
        seen = change.flatten(1)
        for _ in range(60):
            error = net(seen).view_as(change) - change
            loss = error.square().mean() if matrix is None else whitened_error(error, matrix).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        small = direction[:, 1]
        off = (net(seen).detach() - seen) @ small
        return float(off.square().mean() / (seen @ small).square().mean())

    assert left(whitener(change)) < 0.5 * left(None)
