"""The world model's five verbs: what they promise about states, starts, real observations and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.wmenv.tiny import make_config, make_episode, make_model, same_tensors
from wmenv.errors import CheckpointError, InputError
from wmenv.types import LATENT_BOUND, gather_rows, scatter_rows
from wmenv.world_model import WorldModel


@pytest.fixture(params=["state", "frames"])
def model(request: pytest.FixtureRequest) -> WorldModel:
    return make_model(request.param)


def inputs(model: WorldModel, rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    action = torch.rand(rows, model.config.action_dim, generator=generator) * 6 - 2
    return action, torch.randn(rows, model.config.denoise_steps, *model.latent_shape, generator=generator)


def roll(model: WorldModel, index: Tensor, steps: int = 6) -> list[Tensor]:
    """Everything that a dream shows, step by step."""
    state, shown = model.start(index), []
    for t in range(steps):
        out = model.step(state, *inputs(model, len(index), t))
        state = out.state
        shown += [out.reward, out.termination, model.latent_observation(state), model.decode(state)]
    return shown


def observations(model: WorldModel, episodes: int = 3, length: int = 8) -> Tensor:
    made = [make_episode(seed, length) for seed in range(episodes)]
    arrays = [e.state if model.config.modality == "state" else e.frames for e in made]
    return torch.from_numpy(np.stack([a[: length + 1] for a in arrays]))


def test_stored_and_read_it_dreams_the_same_bits(model: WorldModel, tmp_path: Path):
    model.save_pretrained(tmp_path / "model")
    again = WorldModel.from_pretrained(str(tmp_path / "model"))
    assert again.config == model.config and same_tensors(again.state_dict(), model.state_dict())
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    index = torch.tensor([0, 1, 4, 1])
    for a, b in zip(roll(model, index), roll(again, index), strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again.save_pretrained(tmp_path / "copy")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "copy" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_a_start_is_its_recorded_context(model: WorldModel):
    index = torch.tensor([3, 1, 0])
    started = model.start(index)
    given = model.start_from(model.start_latents[index], model.start_actions[index], model.start_valid[index])
    assert torch.equal(started.cached, given.cached) and torch.equal(started.position, given.position)
    for a, b in zip(started, given, strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-5)
    assert torch.equal(started.latents, model.start_latents[index][:, -model.config.history :])
    assert torch.equal(model.latent_observation(started), started.latents.flatten(1).clamp(-LATENT_BOUND, LATENT_BOUND))


def test_a_dream_follows_from_its_context_action_and_noise(model: WorldModel):
    state = model.start(torch.tensor([0, 2]))
    action, noise = inputs(model, 2)
    same, other = model.step(state, action, noise), model.step(state, action, noise + 1)
    assert torch.equal(same.state.latents, model.step(state, action, noise).state.latents)
    assert not torch.equal(same.state.latents, other.state.latents)
    pushed = model.step(state, action.clamp(-1, 1) * 0.5, noise)
    assert not torch.equal(same.state.latents, pushed.state.latents)
    assert same.reward.shape == same.termination.shape == (2,)
    assert ((same.termination > 0) & (same.termination < 1)).all()
    assert torch.equal(same.state.latents[:, :-1], state.latents[:, 1:]), "the history moves on by one"


def test_a_step_leaves_its_state_and_the_starts_as_they_were(model: WorldModel):
    index = torch.tensor([1, 0])
    state = model.start(index)
    kept = [field.clone() for field in state]
    model.step(state, *inputs(model, 2))
    assert all(torch.equal(a, b) for a, b in zip(state, kept, strict=True))
    model.step(state, *inputs(model, 2), consume=True)
    assert all(torch.equal(a, b) for a, b in zip(model.start(index), kept, strict=True))


def test_actions_beyond_the_box_act_like_its_edge(model: WorldModel):
    """The mass's box is [-2, 4]."""
    state, noise = model.start(torch.tensor([0])), inputs(model, 1)[1]
    edge, beyond, inside = (model.step(state, torch.tensor([[a]]), noise) for a in (4.0, 9.0, 3.0))
    assert torch.equal(edge.state.latents, beyond.state.latents)
    assert not torch.equal(edge.state.latents, inside.state.latents)
    assert model.unit_action(torch.tensor([[-2.0], [1.0], [4.0]])).flatten().tolist() == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("index", [[5], [-1], [0, 99]])
def test_an_index_out_of_range_is_an_input_error(index: list[int]):
    model = make_model()
    with pytest.raises(InputError, match="index: expected 0 to 4, got"):
        model.start(torch.tensor(index))
    assert len(model.start(torch.zeros(0, dtype=torch.long)).latents) == 0


def test_a_context_shorter_than_the_history_is_an_input_error():
    model = make_model()
    with pytest.raises(InputError, match="latents: expected at least history = 2 frames, got 1"):
        model.start_from(torch.zeros(1, 1, *model.latent_shape), torch.zeros(1, 1, 1), torch.ones(1, 1).bool())


def test_what_lies_before_an_episode_says_nothing(model: WorldModel):
    """Start 1 is a reset: whatever stands in its frames that are not valid, the dream is the same."""
    context = [t[1:2].clone() for t in (model.start_latents, model.start_actions, model.start_valid)]
    action, noise = inputs(model, 1)
    want = model.step(model.start_from(*context), action, noise)
    context[1][:, :-1] = 0.7
    got = model.step(model.start_from(*context), action, noise)
    assert torch.equal(want.state.latents, got.state.latents) and torch.equal(want.reward, got.reward)


def test_new_starts_are_dreamed_from(model: WorldModel):
    index = torch.tensor([0])
    before = model.start(index).latents
    latents = torch.zeros_like(model.start_latents)
    initial = torch.ones_like(model.start_is_initial)
    model.set_starts(latents, model.start_actions, model.start_valid, initial)
    assert (model.start(index).latents == 0).all() and not (before == 0).all()
    assert model.start_is_initial.all()


def test_new_weights_drop_the_prepared_starts(model: WorldModel):
    index = torch.tensor([0, 1])
    model.start(index)
    other = make_model(model.config.modality, seed=1)
    model.load_state_dict(other.state_dict())
    for a, b in zip(model.start(index), other.start(index), strict=True):
        assert torch.equal(a, b)


def test_large_models_prepare_starts_when_asked(model: WorldModel, monkeypatch: pytest.MonkeyPatch):
    index = torch.tensor([4, 0])
    want = model.start(index)
    model._pages = None
    monkeypatch.setattr("wmenv.world_model.PAGES_LIMIT", 0)
    for a, b in zip(model.start(index), want, strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-5)
    assert model._pages is None


def test_streaming_observations_gives_the_latents_of_the_whole_clip(model: WorldModel):
    seen = observations(model)
    with torch.no_grad():
        whole = model.tokenizer.encode(seen)
    encoder = model.encoder_reset(seen[:, 0])
    assert torch.equal(encoder.latents[:, 0], encoder.latents[:, 1]), "padded by the first latent"
    for t in range(seen.shape[1]):
        encoder = model.encoder_step(encoder, seen[:, t]) if t else encoder
        wanted = whole[:, [max(t - 1, 0), t]]
        assert torch.allclose(encoder.latents, wanted, atol=1e-4), t
        shown = model.encoder_observation(encoder)
        assert shown.shape == (3, model.config.latent_dim)
        assert torch.allclose(shown, wanted.flatten(1).clamp(-LATENT_BOUND, LATENT_BOUND), atol=1e-4)


def test_an_encoder_step_leaves_its_state_as_it_was(model: WorldModel):
    seen = observations(model)
    encoder = model.encoder_reset(seen[:, 0])
    kept = [field.clone() for field in encoder]
    model.encoder_step(encoder, seen[:, 1])
    assert all(torch.equal(a, b) for a, b in zip(encoder, kept, strict=True))


def test_a_state_decodes_to_what_was_encoded():
    model = make_model()
    model.tokenizer.fit(torch.randn(50, 2) * torch.tensor([0.1, 30.0]) + 5)
    seen = observations(model)[:, 0]
    latent = model.encoder_reset(seen).latents
    context = latent.repeat(1, 2, 1, 1)[:, :3], torch.zeros(3, 3, 1), torch.ones(3, 3, dtype=torch.bool)
    assert torch.allclose(model.decode(model.start_from(*context)), seen, atol=1e-4)


def test_frames_decode_to_pictures():
    shown = make_model("frames").decode(make_model("frames").start(torch.tensor([0, 1])))
    assert shown.dtype == torch.uint8 and shown.shape == (2, 32, 32, 3)


def test_latents_and_observations_stay_within_their_bound():
    model = make_model()
    model.dynamics.delta_scale.fill_(1e4)
    state = model.start(torch.tensor([0, 1]))
    for t in range(3):
        state = model.step(state, *inputs(model, 2, t)).state
    assert state.latents[:, -1].abs().max() == LATENT_BOUND
    far = model.encoder_reset(torch.full((1, 2), 1e6))
    assert model.encoder_observation(far).abs().max() == LATENT_BOUND


def test_rows_can_be_gathered_and_scattered(model: WorldModel):
    state, other = model.start(torch.tensor([0, 1, 2])), model.start(torch.tensor([3, 4, 0]))
    put = scatter_rows(other, torch.tensor([0, 2]), gather_rows(torch.tensor([0, 2]), state))
    for a, b in zip(put, model.start(torch.tensor([0, 4, 2])), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("changes", [{"width": 24}, {"heads": 3}])
def test_sizes_that_make_no_network_are_refused(changes: dict):
    with pytest.raises(ValueError, match="width"):
        WorldModel(make_config(**changes))


def test_a_frame_model_needs_a_size():
    with pytest.raises(CheckpointError, match="image_size"):
        make_config("frames", image_size=None)


def test_latents_of_another_model_of_the_same_state_are_had_exactly():
    old, new = make_model(), make_model()
    old.tokenizer.fit(torch.randn(50, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([0.2, 3.0]))
    new.tokenizer.fit(torch.randn(50, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor([2.0, 0.5]) + 1)
    states = torch.randn(4, 2)
    gain, shift = new.latents_of(old)
    assert gain.shape == shift.shape == new.latent_shape
    torch.testing.assert_close(gain * new.tokenizer.encode(states) + shift, old.tokenizer.encode(states))
    assert not torch.allclose(new.tokenizer.encode(states), old.tokenizer.encode(states))


def test_frame_latents_of_separate_trainings_have_nothing_in_common():
    one, trained_on, other = make_model("frames"), make_model("frames", seed=1), make_model("frames")
    other.tokenizer.latent_scale.mul_(1.1)  # what a model that is trained on keeps
    gain, shift = trained_on.latents_of(one)
    assert (gain == 1).all() and (shift == 0).all()
    with pytest.raises(InputError, match="model: expected one that was trained on"):
        one.latents_of(other)
    with pytest.raises(InputError, match="model: expected latents"):
        one.latents_of(make_model())
