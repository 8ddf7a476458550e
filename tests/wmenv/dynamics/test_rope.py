"""Rotary position: attention depends on distances in time and place alone, and lengths are kept."""

from __future__ import annotations

import pytest
import torch

from wmenv.dynamics.rope import angles, axis_split, rotate


@pytest.mark.parametrize("head_dim", [8, 16, 24, 32, 64, 96, 128])
def test_axes_share_all_channels_in_pairs(head_dim: int):
    parts = axis_split(head_dim)
    assert sum(parts) == head_dim and all(part > 0 and part % 2 == 0 for part in parts)
    place = torch.zeros(5, dtype=torch.long)
    assert angles(place, place, place, head_dim).shape == (5, head_dim // 2)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_dot_products_depend_on_distance_alone(axis: int):
    generator = torch.Generator().manual_seed(axis)
    q, k = torch.randn(2, 6, 1, 32, generator=generator, dtype=torch.float64)
    at, seen = torch.randint(0, 9, (2, 3, 6), generator=generator)

    def logits(shift: int) -> torch.Tensor:
        moved = torch.zeros(3, 1, dtype=torch.long)
        moved[axis] = shift
        return (rotate(q, angles(*(at + moved), 32)) * rotate(k, angles(*(seen + moved), 32))).sum(-1)

    torch.testing.assert_close(logits(5), logits(0), rtol=0, atol=1e-5)
    near = torch.ones(3, 1, dtype=torch.long)
    near[axis] = 2
    other = (rotate(q, angles(*(at * near + 1), 32)) * rotate(k, angles(*(seen * near), 32))).sum(-1)
    assert (other - logits(0)).abs().amax() > 1e-2


def test_lengths_stay_and_zero_turns_nothing():
    x = torch.randn(4, 2, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    angle = torch.linspace(-3, 3, 32, dtype=torch.float64).view(4, 8)
    torch.testing.assert_close(rotate(x, angle).norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(rotate(x, torch.zeros_like(angle)), x)
    torch.testing.assert_close(rotate(rotate(x, angle), -angle), x)
