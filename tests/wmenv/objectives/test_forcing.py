"""Noise levels, and a loss that is small for a network that is right and falls for one that learns."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from tests.wmenv.tiny import make_episode, make_model
from wmenv.data.windows import Clip
from wmenv.objectives import ForcingConfig, forcing_loss
from wmenv.objectives.forcing import LOST, draw_levels, noisy_context
from wmenv.presets import PRESETS
from wmenv.training.dynamics_stage import encode_episodes

CONFIG = ForcingConfig(full_noise=0.6, context_noise=0.3, free_context=0.05)
CLEAN = ForcingConfig(full_noise=1.0, context_noise=0.0, free_context=0.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def clip() -> Clip:
    model = make_model(action_high=(2.0,))
    return encode_episodes(model, [make_episode(s, frames=False) for s in range(4)]).sample(16, 5, seeded())


class Knowing(nn.Module):
    """Answers what it is told, or the clip's true change from the context that it is shown."""

    def __init__(self, clip: Clip, error: float = 0.0) -> None:
        super().__init__()
        self.clip, self.error = clip, error
        self.delta_scale = torch.full(clip.latent.shape[-2:], 0.5)

    def forward(self, context: Tensor, context_level: Tensor, noised: Tensor, level: Tensor, *rest: Tensor) -> Tensor:
        base = torch.cat((self.clip.first.unsqueeze(1), context[:, :-1]), dim=1)
        return (self.clip.latent - base) / self.delta_scale + self.error


def knowing_heads(clip: Clip, error: float = 0.0):
    """Right about reward (but for `error` spreads) and termination."""
    reward = (clip.reward - 3.0) / 2.0 + error
    logit = torch.where(clip.terminated, 40.0, -40.0)

    class Heads(SimpleNamespace):
        def __call__(self, *args: Tensor) -> tuple[Tensor, Tensor]:
            return reward, logit

    return Heads(reward_mean=torch.tensor(3.0), reward_scale=torch.tensor(2.0))


def test_levels_are_shares_of_what_the_config_says():
    context, target = draw_levels((4000, 10), CONFIG, seeded())
    for levels in (context, target):
        assert levels.shape == (4000, 10) and 0 <= levels.min() and levels.max() <= 1
    assert (target == 1).float().mean().item() == pytest.approx(0.6, abs=0.01)
    below = target[target < 1]
    assert below.mean().item() == pytest.approx(0.5, abs=0.01), "uniform otherwise"
    assert (context > 0.3).float().mean().item() == pytest.approx(0.05 * 0.7, abs=0.005)
    assert (context == 0).float().mean().item() == pytest.approx(0.5 * 0.95, abs=0.02), "half of the clips are clean"
    usual = ForcingConfig(full_noise=0.0, context_noise=0.3, free_context=0.0)
    context, target = draw_levels((2000, 10), usual, seeded())
    assert context.max() <= 0.3 and (target < 1).all()
    by_clip = (context == 0).float().mean(1)
    assert set(by_clip.tolist()) == {0.0, 1.0}, "a clip is clean as a whole"


def test_levels_differ_between_frames_and_repeat_by_seed():
    context, target = draw_levels((8, 6), CONFIG, seeded())
    again = draw_levels((8, 6), CONFIG, seeded())
    assert torch.equal(context, again[0]) and torch.equal(target, again[1])
    assert len(target[target < 1].unique()) == int((target < 1).sum()) > 5


def test_clean_contexts_are_untouched_and_full_noise_keeps_only_the_frame_before(clip: Clip):
    scale = torch.full(clip.latent.shape[-2:], 0.5)
    same = noisy_context(clip, clip.latent, torch.zeros(clip.valid.shape), scale, seeded())
    assert torch.equal(same, clip.latent)
    noised = noisy_context(clip, clip.latent, torch.ones(clip.valid.shape), scale, seeded())
    base = torch.cat((clip.first.unsqueeze(1), clip.latent[:, :-1]), dim=1)
    assert (noised - base).std().item() == pytest.approx(0.5, rel=0.1)
    half = noisy_context(clip, clip.latent, torch.full(clip.valid.shape, 0.5), scale, seeded())
    assert torch.allclose(half, (clip.latent + noised) / 2, atol=1e-6), "a straight line"


def beside(clip: Clip, off: float, frame: int) -> Tensor:
    """The clip's latents, from `frame` on `off` usual changes of `Knowing` away, in every number."""
    past = clip.latent.clone()
    past[:, frame:] += 0.5 * off
    return past


def test_from_its_own_frames_the_model_is_asked_for_the_recorded_ones(clip: Clip):
    """And told that they are clean."""
    shown = []

    class Watching(Knowing):
        def forward(self, context: Tensor, context_level: Tensor, *rest: Tensor) -> Tensor:
            shown.append((context, context_level))
            return super().forward(context, context_level, *rest)

    past = beside(clip, 0.5 * LOST, 2)
    _, parts = forcing_loss(Watching(clip), knowing_heads(clip), clip, CLEAN, seeded(), past)
    assert torch.equal(shown[0][0], past) and not shown[0][1].any()
    assert parts["dynamics"].item() == pytest.approx(0, abs=1e-9), "the true change is the one back to the recording"
    forcing_loss(Watching(clip), knowing_heads(clip), clip, CLEAN, seeded())
    assert torch.equal(shown[1][0], clip.latent)


@pytest.mark.parametrize(("off", "asked"), [(0.9 * LOST, 5), (1.1 * LOST, 3)])
def test_a_dream_that_has_left_the_recording_is_not_asked_for_it(clip: Clip, off: float, asked: int):
    """From frame 2 on it is off: frame 2 itself is still predicted from what was recorded."""
    counted = clip.target & (torch.arange(5) < asked)

    class Wrong(Knowing):
        def forward(self, *args: Tensor) -> Tensor:
            return super().forward(*args) + (~counted).float()[..., None, None]

    _, parts = forcing_loss(Wrong(clip), knowing_heads(clip), clip, CLEAN, seeded(), beside(clip, off, 2))
    assert parts["dynamics"].item() == pytest.approx(0, abs=1e-9)
    assert asked == 5 or not torch.equal(counted, clip.target), "what is not asked was answered wrongly"


def test_errors_are_weighed_by_the_matrix(clip: Clip):
    size = clip.latent[0, 0].numel()
    _, plain = forcing_loss(Knowing(clip, 0.5), knowing_heads(clip), clip, CLEAN, seeded())
    _, double = forcing_loss(Knowing(clip, 0.5), knowing_heads(clip), clip, CLEAN, seeded(), None, 2 * torch.eye(size))
    assert double["dynamics"].item() == pytest.approx(4 * plain["dynamics"].item()) and plain["dynamics"] > 0
    assert double["reward"] == plain["reward"]
    blind = torch.diag((torch.arange(size) > 0).float())
    one_wrong = torch.zeros_like(clip.latent[0, 0])
    one_wrong.view(-1)[0] = 3.0

    class Wrong(Knowing):
        def forward(self, *args: Tensor) -> Tensor:
            return super().forward(*args) + one_wrong

    _, parts = forcing_loss(Wrong(clip), knowing_heads(clip), clip, CLEAN, seeded(), None, blind)
    assert parts["dynamics"].item() == pytest.approx(0, abs=1e-8), "a direction without weight does not count"


def test_heads_learn_from_recorded_frames_alone(clip: Clip):
    wrong = (torch.arange(5) >= 2).float().expand(16, 5)
    own = beside(clip, 0.1 * LOST, 2)
    _, parts = forcing_loss(Knowing(clip), knowing_heads(clip, wrong * 9), clip, CLEAN, seeded(), own)
    assert parts["reward"].item() == pytest.approx(0, abs=1e-9)
    _, parts = forcing_loss(Knowing(clip), knowing_heads(clip, wrong * 9), clip, CLEAN, seeded())
    assert parts["reward"].item() > 1


def test_only_presets_that_dream_in_one_step_learn_from_their_own_dreams():
    learning = {name: sizes.denoise_steps for name, sizes in PRESETS.items() if sizes.own_frames}
    assert learning == {"tiny": 1, "nano": 1}


@pytest.mark.parametrize("config", [CONFIG, CLEAN])
def test_who_is_right_pays_nothing(clip: Clip, config: ForcingConfig):
    loss, parts = forcing_loss(Knowing(clip), knowing_heads(clip), clip, config, seeded())
    assert set(parts) == {"dynamics", "reward", "termination"}
    assert loss.item() == pytest.approx(0, abs=1e-9) == sum(part.item() for part in parts.values())


def test_who_is_wrong_pays_in_units_of_the_spread(clip: Clip):
    loss, parts = forcing_loss(Knowing(clip, 0.5), knowing_heads(clip, 2.0), clip, CONFIG, seeded())
    assert parts["dynamics"].item() == pytest.approx(0.25, rel=1e-4)
    assert parts["reward"].item() == pytest.approx(4.0, rel=1e-4)
    assert loss.item() == pytest.approx(sum(part.item() for part in parts.values()))


def test_frames_that_no_action_reached_cost_nothing(clip: Clip):
    """Whatever is answered there: before an episode, and at its first observation."""
    assert not clip.target.all()
    wrong = (~clip.target).float()

    class Half(Knowing):
        def forward(self, *args: Tensor) -> Tensor:
            return super().forward(*args) + 9 * wrong[..., None, None]

    _, parts = forcing_loss(Half(clip), knowing_heads(clip, wrong * 9), clip, CONFIG, seeded())
    assert parts["dynamics"].item() == pytest.approx(0, abs=1e-9) == parts["reward"].item()


def test_an_untrained_network_pays_for_copying():
    """1.0 would be copying when scales are those of the data; with clean contexts it is their mean square change."""
    model = make_model(action_high=(2.0,))
    nn.init.zeros_(model.dynamics.head.weight)
    nn.init.zeros_(model.dynamics.head.bias)
    data = encode_episodes(model, [make_episode(s, frames=False) for s in range(4)])
    clip = data.sample(64, 4, seeded())
    base = torch.cat((clip.first.unsqueeze(1), clip.latent[:, :-1]), dim=1)
    change = (clip.latent - base).square().mean((-2, -1))[clip.target].mean()
    _, parts = forcing_loss(model.dynamics, model.heads, clip, CLEAN, seeded())
    assert parts["dynamics"].item() == pytest.approx(change.item(), rel=1e-5)


def test_nothing_is_left_on_the_cpu(clip: Clip):
    """The meta device holds no numbers, but mixes with the CPU as little as a GPU does."""
    model = make_model(action_high=(2.0,)).to("meta")
    clip = Clip(*(field.to("meta") for field in clip))
    for past in (None, clip.latent + 1):
        loss, _ = forcing_loss(model.dynamics, model.heads, clip, CONFIG, seeded(), past)
        assert loss.device.type == "meta"


def test_the_loss_falls_when_it_is_followed():
    model = make_model(action_high=(2.0,)).requires_grad_(True)
    model.tokenizer.fit(torch.cat([torch.from_numpy(make_episode(s, frames=False).state) for s in range(8)]))
    data = encode_episodes(model, [make_episode(s, frames=False) for s in range(8)])
    change = (data.latent[1:] - data.latent[:-1])[
        torch.isin(torch.arange(1, len(data.latent)), data.start).logical_not()
    ]
    model.dynamics.delta_scale.copy_(change.square().mean(0).sqrt().clamp(min=0.02))
    model.heads.change_scale.copy_(model.dynamics.delta_scale)
    model.heads.reward_mean.copy_(data.reward.mean())
    model.heads.reward_scale.copy_(data.reward.std())
    module = nn.ModuleList((model.dynamics, model.heads))
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3)

    def measure() -> dict[str, float]:
        with torch.no_grad():
            _, parts = forcing_loss(model.dynamics, model.heads, data.sample(128, 4, seeded(1)), CONFIG, seeded(2))
        return {name: part.item() for name, part in parts.items()}

    before = measure()
    for step in range(120):
        loss, _ = forcing_loss(model.dynamics, model.heads, data.sample(16, 4, seeded(step)), CONFIG, seeded(step))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    after = measure()
    assert after["dynamics"] < 0.5 * before["dynamics"] and after["dynamics"] < 0.6
    assert after["reward"] < 0.5 * before["reward"] and after["termination"] < before["termination"]
