"""The parallel form: who sees what, what an untrained model says, and that actions matter."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.wmenv.tiny import random_dynamics
from wmenv.dynamics import Dynamics
from wmenv.dynamics.dit import clip_visibility

B, F, N, C, A, W = 2, 8, 3, 2, 2, 4  # two blocks reach back to the first frame
FIELDS = ("context", "context_level", "noised", "level", "action", "valid", "first")


def inputs(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    valid = torch.ones(B, F, dtype=torch.bool)
    valid[1, :3] = False
    return {
        "context": normal(B, F, N, C),
        "context_level": uniform(B, F),
        "noised": normal(B, F, N, C),
        "level": uniform(B, F),
        "action": uniform(B, F, A) * 2 - 1,
        "valid": valid,
        "first": normal(B, N, C),
    }


def changed_frames(dynamics: Dynamics, field: str, frame: int) -> list[int]:
    """The frames whose answer changes in some row when `field` changes at `frame`."""
    clean = inputs()
    other = {name: value.clone() for name, value in clean.items()}
    other[field][:, frame] = inputs(1)[field][:, frame]
    change = (dynamics(**other) - dynamics(**clean)).abs().amax((0, 2, 3))
    return (change > 1e-12).nonzero()[:, 0].tolist()


@pytest.mark.parametrize("frame", range(F))
def test_nothing_depends_on_later_frames_and_no_target_sees_itself_clean(frame: int):
    dynamics = random_dynamics()
    assert changed_frames(dynamics, "context", frame) == list(range(frame + 1, F))
    assert changed_frames(dynamics, "context_level", frame) == list(range(frame + 1, F))
    assert changed_frames(dynamics, "action", frame) == list(range(frame, F))


@pytest.mark.parametrize("frame", [0, 4, F - 1])
def test_a_target_is_seen_by_itself_alone(frame: int):
    dynamics = random_dynamics()
    assert changed_frames(dynamics, "noised", frame) == [frame]
    assert changed_frames(dynamics, "level", frame) == [frame]


def test_a_frame_is_forgotten_once_it_has_left_the_window():
    """In one block, a target sees W contexts, and the oldest of them shows its change since the one before."""
    dynamics = random_dynamics(depth=1)
    assert changed_frames(dynamics, "context", 1) == list(range(2, 2 + W + 1))
    assert changed_frames(dynamics, "action", 1) == list(range(1, 1 + W + 1))


def test_frames_that_are_not_valid_are_never_looked_at():
    dynamics, clean = random_dynamics(), inputs()
    other = {name: value.clone() for name, value in clean.items()}
    for name in ("context_level", "noised", "level", "action"):
        other[name][1, :3] = inputs(1)[name][1, :3]
    other["context"][1, :2] = inputs(1)["context"][1, :2]  # frame 2 is the base of frame 3
    torch.testing.assert_close(dynamics(**other)[1, 3:], dynamics(**clean)[1, 3:], rtol=0, atol=1e-12)


def test_visibility_by_the_rule_in_words():
    valid = torch.rand(3, 7, generator=torch.Generator().manual_seed(0)) < 0.7
    visible = clip_visibility(valid, W)
    for b in range(3):
        for t in range(7):
            context = [s == t or (0 <= t - s < W and bool(valid[b, s])) for s in range(7)]
            past = [1 <= t - s <= W and bool(valid[b, s]) for s in range(7)]
            assert visible[b, t].tolist() == context + [False] * 7
            assert visible[b, 7 + t].tolist() == past + [s == t for s in range(7)]


def test_an_untrained_model_says_that_nothing_changes():
    config = random_dynamics().config
    assert not Dynamics(config).double()(**inputs()).any()


def test_the_answer_follows_action_level_role_and_token():
    dynamics, clean = random_dynamics(), inputs()
    action = clean["action"].clone().requires_grad_()
    dynamics(**(clean | {"action": action})).square().sum().backward()
    assert (action.grad.abs() > 1e-6).all()
    level = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0], dtype=torch.float64)
    embedded = torch.cat([dynamics.level(level, target=role) for role in (False, True)])
    assert (torch.pdist(embedded) > 1e-3).all()
    same = dynamics.tokens(torch.zeros(1, 1, N, C).double(), torch.zeros(1, 1, N, C).double())[0, 0]
    assert (torch.pdist(same) > 1e-3).all()


def test_answers_are_in_units_of_the_usual_change():
    """Scaling all latents' changes and the scale alike changes nothing in what is said of them."""
    dynamics, clean = random_dynamics(), inputs()
    with torch.no_grad():
        dynamics.embed.weight[:, C:] = 0  # the latents themselves are not looked at, only their changes
    before = dynamics(**clean)
    dynamics.delta_scale.mul_(3)
    scaled = clean | {"context": clean["context"] * 3, "first": clean["first"] * 3}
    torch.testing.assert_close(dynamics(**scaled), before, rtol=0, atol=1e-10)


def test_rows_do_not_see_each_other():
    dynamics, clean = random_dynamics(), inputs()
    alone = dynamics(**{name: value[1:] for name, value in clean.items()})
    torch.testing.assert_close(dynamics(**clean)[1:], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"num_tokens": 0}, "num_tokens"),
        ({"depth": -1}, "depth"),
        ({"window": 0}, "window"),
        ({"grid": (2, 2)}, "grid"),
        ({"width": 40}, "width"),
        ({"heads": 3}, "width"),
    ],
)
def test_sizes_that_make_no_model(change, field):
    with pytest.raises(ValueError, match=f"^{field}: expected .*, got "):
        replace(random_dynamics().config, **change)
