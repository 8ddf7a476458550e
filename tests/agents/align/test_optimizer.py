"""How far a step moves a generator that is tuned."""

from __future__ import annotations

import pytest
import torch

from agents.align.config import AlignConfig
from agents.align.optimizer import LARGEST_AT_FULL_RATE, generator_optimizer
from tests.wmenv.tiny import make_model


@pytest.mark.parametrize(("width", "full"), [(32, True), (192, False)])
def test_the_rate_follows_the_error_and_falls_with_the_number_of_weights(width: int, full: bool) -> None:
    model = make_model(width=width, depth=3)
    weights = sum(parameter.numel() for parameter in model.dynamics.parameters())
    assert (weights <= LARGEST_AT_FULL_RATE) is full
    critic = torch.nn.Parameter(torch.zeros(1))
    groups = generator_optimizer(model, AlignConfig(learning_rate=0.01, critic_rate=0.5), 0.2, [critic]).param_groups
    expected = 0.002 if full else 0.002 * LARGEST_AT_FULL_RATE / weights
    assert [group["lr"] for group in groups] == pytest.approx([expected, 0.5])
    assert sum(parameter.numel() for parameter in groups[0]["params"]) == weights
    assert groups[1]["params"] == [critic]


def test_only_the_dynamics_is_moved() -> None:
    model = make_model()
    model.requires_grad_(False)
    (group,) = generator_optimizer(model, AlignConfig(), 1.0).param_groups
    moved = {id(parameter) for parameter in group["params"]}
    assert moved == {id(parameter) for parameter in model.dynamics.parameters()}
    assert {id(p) for p in model.parameters() if p.requires_grad} == moved
