"""Latents stay where recorded ones are: what a dream's errors put beside them goes, what a frame shows stays."""

from __future__ import annotations

import pytest
import torch

from wmenv.tokenizers.manifold import LEFT, LatentManifold

TOKENS, CHANNELS = 2, 12


def sheet(count: int, seed: int) -> torch.Tensor:
    """(M, N, C) latents of two numbers that wander: a curved sheet of two dimensions in 24."""
    g = torch.Generator().manual_seed(seed)
    a, b = (6 * torch.rand(2, count, generator=g) - 3).unbind()
    mixed = torch.randn(5, TOKENS * CHANNELS, generator=torch.Generator().manual_seed(0))
    seen = torch.stack((a, b, 0.3 * a * a, 0.2 * a * b, torch.sin(a)), dim=1)
    return (seen @ mixed).unflatten(1, (TOKENS, CHANNELS))


def fitted(latents: torch.Tensor, unit: float = 1.0) -> LatentManifold:
    manifold = LatentManifold(TOKENS, CHANNELS)
    manifold.fit(latents, torch.full((TOKENS, CHANNELS), unit))
    return manifold


def test_nothing_changes_before_a_fit():
    latents = 10 * torch.randn(7, TOKENS, CHANNELS, generator=torch.Generator().manual_seed(1))
    assert torch.equal(LatentManifold(TOKENS, CHANNELS)(latents), latents)


@pytest.mark.parametrize("unit", [1.0, 0.3])
def test_recorded_latents_stay_where_they_are(unit: float):
    manifold = fitted(sheet(4000, 1), unit)
    new = sheet(1000, 2)
    moved = (manifold(new) - new).square().mean()
    assert moved < LEFT * unit**2 and moved < 1e-3 * new.square().mean()


def test_what_lies_across_the_sheet_goes_and_what_lies_along_it_stays():
    manifold = fitted(sheet(4000, 1))
    new = sheet(1000, 2)
    noise = 0.3 * torch.randn(new.shape, generator=torch.Generator().manual_seed(3))
    off = (manifold(new + noise) - new).square().mean()
    assert off < 0.35 * noise.square().mean()  # at most 5 of 24 directions are free
    assert off > 0.02 * noise.square().mean()  # and it does not answer with one latent for all


def test_a_constant_error_does_not_add_up():
    data = sheet(4000, 1)
    manifold, error = fitted(data), 0.02 * torch.randn(TOKENS, CHANNELS, generator=torch.Generator().manual_seed(4))
    held, free = data[:64], data[:64]
    for _ in range(500):
        held, free = manifold(held + error), free + error

    def beside(latents: torch.Tensor) -> float:
        return torch.cdist(latents.flatten(1), data.flatten(1)).min(1).values.median().item()

    assert beside(free) > 30
    assert beside(held) < beside(free) / 5  # along the free directions it goes on, to the end of what was recorded


def test_latents_without_a_sheet_are_only_held_within_their_range():
    data = torch.randn(4000, TOKENS, CHANNELS, generator=torch.Generator().manual_seed(5))
    manifold = LatentManifold(TOKENS, CHANNELS)
    assert manifold.fit(data, torch.ones(TOKENS, CHANNELS)) == TOKENS * CHANNELS
    assert torch.allclose(manifold(data), data, atol=1e-4)
    assert manifold(100 * data).abs().max() < 20


def test_few_or_still_latents_give_no_nan():
    for data in (torch.zeros(4000, TOKENS, CHANNELS), sheet(3, 1), sheet(1, 1)):
        manifold = fitted(data)
        assert torch.allclose(manifold(data), data, atol=1e-4)
        assert manifold(1e9 * torch.ones_like(data)).isfinite().all()


def test_it_can_be_learned_through():
    manifold, latents = fitted(sheet(4000, 1)), sheet(5, 2).requires_grad_()
    manifold(latents).square().sum().backward()
    assert latents.grad is not None and latents.grad.isfinite().all() and latents.grad.abs().sum() > 0


def test_it_is_stored_with_the_model():
    manifold, new = fitted(sheet(4000, 1)), sheet(10, 2) + 1
    other = LatentManifold(TOKENS, CHANNELS)
    other.load_state_dict(manifold.state_dict())
    assert torch.equal(other(new), manifold(new))
