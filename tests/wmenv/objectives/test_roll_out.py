"""A roll-out is what the world model dreams, and of a batch a third of the clips end in one."""

from __future__ import annotations

import torch

from tests.wmenv.tiny import make_episode, make_model
from wmenv.data.windows import Clip, LatentEpisodes
from wmenv.objectives import own_past
from wmenv.objectives.roll_out import roll_out
from wmenv.training.dynamics_stage import encode_episodes
from wmenv.world_model import WorldModel


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def recorded(rows: int, frames: int) -> tuple[WorldModel, LatentEpisodes, Clip]:
    model = make_model(action_high=(2.0,))
    data = encode_episodes(model, [make_episode(s, frames=False) for s in range(4)])
    return model, data, data.sample(rows, frames, seeded())


def test_a_roll_out_is_what_the_world_model_dreams():
    """The same frames as `start_from` and `step` of a whole model make, from an episode's first observation on."""
    model = make_model(action_high=(2.0,), state_names=("cos:mass [1]", "sin:mass [1]"))
    data = encode_episodes(model, [make_episode(3, frames=False)])
    lead = model.config.window
    x = data.cut(torch.tensor([0]), torch.tensor([1 - lead]), 9)
    own = (torch.arange(9) >= lead).unsqueeze(0)
    noise = torch.randn(1, 9, 2, *model.latent_shape, generator=seeded(1))
    past = roll_out(model.dynamics, model.tokenizer.project, x, own, noise)
    before = data.cut(torch.tensor([0]), torch.tensor([-lead]), 1 + lead)
    state = model.start_from(before.latent, before.action, before.valid)
    for t in range(lead, 9):
        action = x.action[:, t] * model.action_half + model.action_middle
        state = model.step(state, action, noise[:, t]).state
        torch.testing.assert_close(state.latents[:, -1], past[:, t], rtol=0, atol=1e-4)
    shown = model.tokenizer.decode(past[own])
    torch.testing.assert_close(shown.norm(dim=-1), torch.ones(len(shown)))


def test_the_last_frames_of_a_third_of_the_clips_are_dreamed():
    model, _, clip = recorded(12, 8)
    past = own_past(model.dynamics, model.tokenizer.project, clip, 3, seeded())
    same = (past == clip.latent).flatten(2).all(2)
    assert same[:8].all() and same[8:, :5].all()
    assert torch.equal(~same[8:, 5:], clip.target[8:, 5:]), "what no action reached is nothing to be dreamed"
    assert clip.target[8:, 5:].any()
    few = Clip(*(field[:2] for field in clip))
    past = own_past(model.dynamics, model.tokenizer.project, few, 3, seeded())
    assert torch.equal(past, few.latent), "what is learned from recorded frames alone must not run dry"


def test_own_frames_follow_the_recorded_actions():
    """From noise that is the same, another action makes another dream, in the frames after it alone."""
    model, data, _ = recorded(3, 6)
    clip = data.cut(torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5]), 6)
    past = own_past(model.dynamics, model.tokenizer.project, clip, 3, seeded())
    changed = clip.action.clone()
    changed[:, 4] *= -1
    other = own_past(model.dynamics, model.tokenizer.project, clip._replace(action=changed), 3, seeded())
    differs = (past != other).flatten(2).any(2)
    assert not differs[:, :4].any() and differs[2, 4:].all()


def test_a_dream_is_the_same_under_autocast():
    model, _, clip = recorded(6, 6)
    plain = own_past(model.dynamics, model.tokenizer.project, clip, 2, seeded())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(own_past(model.dynamics, model.tokenizer.project, clip, 2, seeded()), plain)
