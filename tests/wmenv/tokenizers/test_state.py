"""State tokens: every coordinate has a place of its own, and SI units come back exactly."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wmenv.tokenizers import StateTokenizer, group_slots, unit_vectors


@given(st.lists(st.integers(-3, 12), min_size=1, max_size=40), st.integers(1, 20))
def test_every_coordinate_has_a_place_and_groups_stay_together(groups: list[int], max_tokens: int):
    slots, tokens, channels = group_slots(groups, max_tokens)
    assert len(set(slots)) == len(slots) == len(groups)
    assert all(0 <= slot < tokens * channels for slot in slots)
    assert tokens == min(len(set(groups)), max_tokens)
    token_of = {}
    for group, slot in zip(groups, slots, strict=True):
        assert token_of.setdefault(group, slot // channels) == slot // channels, "a joint is in one token"
    assert set(token_of.values()) == set(range(tokens)), "no token is empty"
    order = [token_of[g] for g in dict.fromkeys(groups)]
    assert order == sorted(order), "neighbours share a token"


@pytest.mark.parametrize(
    ("groups", "max_tokens", "wanted"),
    [
        ((0, 0, 0), 4, ([0, 1, 2], 1, 3)),
        ((0, 1, 2), 4, ([0, 1, 2], 3, 1)),
        ((0, 1, 0, 1), 4, ([0, 2, 1, 3], 2, 2)),
        ((0, 1, 2, 3), 2, ([0, 1, 2, 3], 2, 2)),
        ((5, 5, 9), 2, ([0, 1, 2], 2, 2)),
        ((7,), 1, ([0], 1, 1)),
    ],
)
def test_known_layouts(groups, max_tokens, wanted):
    assert group_slots(groups, max_tokens) == wanted


@pytest.fixture
def tokenizer() -> StateTokenizer:
    slots, tokens, channels = group_slots((0, 0, 1, 2, 2, 2), 3)
    tokenizer = StateTokenizer(slots, tokens, channels)
    tokenizer.fit(states() * torch.tensor([1, 10, 1e-3, 1e3, 0, 1]) + torch.tensor([0, 5, 0, -7, 3, 0]))
    return tokenizer


def states() -> torch.Tensor:
    return torch.randn(500, 6, generator=torch.Generator().manual_seed(0))


def test_latents_have_unit_scale_and_come_back_exactly(tokenizer):
    x = states() * torch.tensor([1, 10, 1e-3, 1e3, 0, 1]) + torch.tensor([0, 5, 0, -7, 3, 0])
    latents = tokenizer.encode(x)
    assert latents.shape == (500, tokenizer.num_tokens, tokenizer.token_dim)
    used = latents.flatten(1)[:, tokenizer.slots]
    assert used.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(used.std(0), torch.tensor([1, 1, 1, 1, 0, 1.0]), rtol=0, atol=1e-4)
    torch.testing.assert_close(tokenizer.decode(latents), x, rtol=1e-6, atol=1e-6)
    empty = torch.ones(latents[0].numel(), dtype=torch.bool)
    empty[tokenizer.slots] = False
    assert empty.any() and not latents.flatten(1)[:, empty].any()


def test_in_float64_the_inverse_is_exact_to_the_last_digits(tokenizer):
    tokenizer = tokenizer.double()
    x = states().double()
    torch.testing.assert_close(tokenizer.decode(tokenizer.encode(x)), x, rtol=1e-13, atol=1e-13)


def test_a_coordinate_that_never_moved_may_still_move(tokenizer):
    still = torch.tensor([0, 5, 0, -7, 3, 0.0])
    moved = still + torch.tensor([0, 0, 0, 0, 0.25, 0])
    assert (tokenizer.encode(moved) - tokenizer.encode(still)).abs().sum() == 0.25


def test_streaming_is_encoding(tokenizer):
    x = states()[:12].view(3, 4, 6)
    latents = tokenizer.encode(x)
    memory, latent = tokenizer.stream_start(x[:, 0])
    assert memory.shape == (3, 0) and torch.equal(latent, latents[:, 0])
    for t in range(1, 4):
        memory, latent = tokenizer.stream_step(memory, x[:, t])
        assert memory.shape == (3, 0) and torch.equal(latent, latents[:, t])


def test_angles_and_rotations_are_found_by_name():
    names = ["qpos:x [m]", "cos:a [1]", "sin:a [1]", *(f"qpos:b.q{axis} [1]" for axis in "wxyz"), "cos:alone [1]"]
    assert unit_vectors(names) == [[1, 2], [3, 4, 5, 6]]
    assert unit_vectors(["qpos:x [m]", "qvel:x [m/s]"]) == []


def test_a_projected_latent_is_a_state():
    names = [
        "cos:a [1]",
        "qpos:x [m]",
        "sin:a [1]",
        *(f"qpos:b.q{axis} [1]" for axis in "wxyz"),
        "cos:c [1]",
        "sin:c [1]",
    ]
    tokenizer = StateTokenizer([*range(len(names))], 1, len(names), unit_vectors(names))
    tokenizer.fit(torch.rand(50, len(names), generator=torch.Generator().manual_seed(0)))
    state = torch.randn(3, 7, len(names), generator=torch.Generator().manual_seed(1))
    seen = tokenizer.decode(tokenizer.project(tokenizer.encode(state)))
    for unit in unit_vectors(names):
        torch.testing.assert_close(seen[..., unit].norm(dim=-1), torch.ones(3, 7))
        torch.testing.assert_close(seen[..., unit], torch.nn.functional.normalize(state[..., unit], dim=-1))
    torch.testing.assert_close(seen[..., 1], state[..., 1])
    torch.testing.assert_close(tokenizer.project(tokenizer.encode(seen)), tokenizer.encode(seen))


def test_a_projection_moves_with_its_tokenizer():
    """To another type or device, from a file, as a copy."""
    names = ["cos:a [1]", "sin:a [1]", *(f"qpos:b.q{axis} [1]" for axis in "wxyz")]
    given, loaded = (StateTokenizer(range(6), 2, 3, unit_vectors(names)) for _ in range(2))
    given.fit(states())
    loaded.load_state_dict(given.state_dict())
    latents = states()[:9].view(9, 2, 3)
    for twin in (loaded, copy.deepcopy(given).double(), given):
        moved = twin.project(latents.to(twin.mean.dtype)).float()
        torch.testing.assert_close(moved, given.project(latents))
        assert (moved - latents).abs().max() > 0.1
    given.to("meta")
    assert {buffer.device.type for buffer in given.buffers()} == {"meta"}
    assert given.project(latents.to("meta")).is_meta
