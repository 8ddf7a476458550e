"""The flow map in closed form satisfies what the loss asks for, and who learns by it jumps where the teacher walks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.wmenv.objectives.flow_toy import MEAN, SPREAD, Composed, Exact, Learning, Toy, carried, expected, toy_clip
from tests.wmenv.objectives.flow_toy import solved as answer_for
from wmenv.distill_config import DistillConfig
from wmenv.objectives import consistency_loss, flow_map_loss
from wmenv.objectives.flow_map import step_counts
from wmenv.objectives.jump import draw_jumps, follow, jump_loss
from wmenv.sampling import euler

G = 16
COUNTS = step_counts(G)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def walked(noise: Tensor, dynamics: Toy, steps: int) -> Tensor:
    """What a sampler of `steps` steps makes of noise (B, F, 1, 1)."""
    clean, y = torch.zeros(noise.shape[:2], dtype=torch.float64), noise
    for step in range(steps):
        level, lower = clean + 1 - step / steps, clean + 1 - (step + 1) / steps
        y = euler(y, dynamics.say(y, level, lower), level[..., None, None], lower[..., None, None])
    return y


def test_step_counts_are_the_powers_of_two_up_to_the_grid():
    assert COUNTS == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("counts", [(1,), (2,), (4,), tuple(COUNTS)])
@pytest.mark.parametrize("stride", [1, 3, 16])
def test_jumps_fall_and_keep_to_the_stretches_of_a_sampler(counts: tuple[int, ...], stride: int):
    jump = draw_jumps((200, 8), counts, G, stride, 0.5, seeded())
    begin, middle, end = (level * G for level in jump)
    for level in (begin, middle, end):
        assert torch.equal(level, level.round()), "a level of the teacher's"
    assert (end >= 0).all() and (end <= middle).all() and (middle < begin).all() and (begin <= G).all()
    assert torch.equal(middle, (begin - stride).maximum(end))
    stretches = {(end * length, (end + 1) * length) for s in counts for length in [G // s] for end in range(s)}
    found = {(e, b) for e, b in zip(end.flatten().int().tolist(), begin.flatten().int().tolist(), strict=True)}
    assert all(any(e == low and b <= high for low, high in stretches) for e, b in found)
    assert stretches <= found, "every step of every sampler"


def test_aimed_jumps_are_the_samplers_own_and_draws_repeat():
    jump = draw_jumps((100, 8), (4,), G, 2, 1.0, seeded())
    assert torch.equal(jump.begin - jump.end, torch.full((100, 8), 0.25))
    for one, other in zip(jump, draw_jumps((100, 8), (4,), G, 2, 1.0, seeded()), strict=True):
        assert torch.equal(one, other)


def test_the_closed_form_satisfies_meanflow_s_identity():
    """That r (m - g) = t (t - r) dg/dt along the flow, in float64."""
    generator = seeded()
    y = torch.randn(500, generator=generator, dtype=torch.float64)
    t = 0.2 + 0.8 * torch.rand(500, generator=generator, dtype=torch.float64)
    r = t * 0.9 * torch.rand(500, generator=generator, dtype=torch.float64)
    m = expected(y, t)
    y.requires_grad_(), t.requires_grad_()
    said = answer_for(y, carried(y, t, r), t, r)
    along_y, along_t = torch.autograd.grad(said.sum(), (y, t))
    change = along_y * (y - m) / t + along_t
    torch.testing.assert_close(r * (m - said), t * (t - r) * change, rtol=0, atol=1e-12)


def test_an_answer_for_a_jump_of_no_length_is_the_estimate():
    y, t = torch.tensor([0.3, -1.2], dtype=torch.float64), torch.tensor([0.4, 0.9], dtype=torch.float64)
    near = answer_for(y, carried(y, t, t - 1e-6), t, t - 1e-6)
    torch.testing.assert_close(near, expected(y, t), rtol=0, atol=1e-5)


@pytest.mark.parametrize("counts", [(1,), (2,), tuple(COUNTS)])
def test_who_makes_all_of_the_teachers_steps_at_once_pays_nothing(counts: tuple[int, ...]):
    jump = draw_jumps((6, 4), counts, G, 3, 0.5, seeded())
    loss, parts = jump_loss(Composed(G), Toy(), toy_clip(), jump, G, seeded())
    assert loss.item() == parts["jump"].item() < 1e-13, "levels are float32"


def test_the_true_flow_map_pays_less_the_finer_the_teacher_walks():
    """Of second order in a step for each target, so of fourth in its square."""
    paid = []
    for grid in (16, 64):
        jump = draw_jumps((6, 4), (1, 2), grid, 4, 0.5, seeded())
        paid.append(jump_loss(Exact(), Toy(), toy_clip(), jump, grid, seeded())[0].item())
    assert 0 < paid[1] < paid[0] / 50 < 1e-4


def test_frames_that_no_action_reached_cost_nothing():
    clip = toy_clip()
    assert not clip.target.all()

    class Half(Composed):
        def say(self, noised: Tensor, level: Tensor, lower: Tensor | None) -> Tensor:
            return super().say(noised, level, lower) + 9 * (~clip.target)[..., None, None]

    jump = draw_jumps((6, 4), (1,), G, G, 0.5, seeded())  # the teacher goes all the way
    assert jump_loss(Half(G), Toy(), clip, jump, G, seeded())[0].item() < 1e-13


def test_following_stops_where_it_should_and_ends_where_the_flow_does():
    clip, y = toy_clip(), torch.randn(6, 4, 1, 1, generator=seeded(), dtype=torch.float64)
    level = torch.ones(6, 4, dtype=torch.float64)
    assert torch.equal(follow(Toy(), clip, y, level, level, G), y)
    end = follow(Toy(), clip, y, level, 0 * level, 1024)
    torch.testing.assert_close(end, MEAN + SPREAD * y, rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("method", "steps"), [("consistency", (1,)), ("consistency", (2,)), ("flow_map", (1, 2, 4, 8, 16))]
)
def test_a_student_s_few_steps_end_where_the_teacher_s_sixteen_do(method: str, steps: tuple[int, ...]):
    """Within .08, of a spread of .4, after 400 updates; the teacher in one step is wrong by .37."""
    torch.manual_seed(0)
    student, teacher = Learning(any_step=method == "flow_map"), Toy()
    config = DistillConfig(method=method, steps=steps[0], grid=G, stride=4)  # type: ignore[arg-type]
    objective = flow_map_loss if method == "flow_map" else consistency_loss
    optimizer = torch.optim.Adam(student.parameters(), 3e-3)
    for step in range(400):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / 400)
        loss, _ = objective(student, teacher, toy_clip(64, 4, seed=step), config, seeded(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    noise = torch.randn(200, 4, 1, 1, generator=seeded(1), dtype=torch.float64)
    with torch.no_grad():
        end = walked(noise, teacher, G)
        for count in steps:
            error = (walked(noise, student, count) - end).square().mean().sqrt().item()
            assert error < 0.08, (count, error)
        assert (walked(noise, teacher, 1) - end).square().mean().sqrt().item() > 0.3
