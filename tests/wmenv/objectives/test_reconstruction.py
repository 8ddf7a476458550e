"""What moves counts, however small it is; latents are pulled to what can be foreseen."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.wmenv.tiny import make_episode, make_model
from wmenv.objectives.reconstruction import (
    LatentPredictor,
    ReconstructionConfig,
    foreground_weight,
    reconstruction_loss,
)
from wmenv.tokenizers.frame_vae import to_unit

CONFIG = ReconstructionConfig()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def with_square(size: int) -> tuple[Tensor, Tensor]:
    """Frames (2, 3, 3, 32, 32) of a grey background with a bright square of `size` pixels, and the background."""
    background = torch.full((3, 32, 32), 0.4)
    frames = background.repeat(2, 3, 1, 1, 1)
    frames[..., 8 : 8 + size, 20 : 20 + size] = 0.9
    return frames, background


@pytest.mark.parametrize("size", [3, 6, 12])
def test_what_moves_has_its_share_of_the_loss(size: int):
    frames, background = with_square(size)
    weight = foreground_weight(frames, background, CONFIG)
    assert weight.shape == (2, 3, 1, 32, 32)
    moving = torch.zeros(32, 32, dtype=torch.bool)
    moving[7 : 9 + size, 19 : 21 + size] = True  # and a pixel around it
    total = weight.sum()
    assert (weight[..., moving].sum() / total).item() == pytest.approx(
        0.8 / (0.8 + 0.2 * (1 - moving.float().mean().item())), rel=1e-4
    )
    assert weight[..., ~moving].unique().tolist() == [pytest.approx(0.2)]
    assert weight.mean().item() == pytest.approx(1.0, abs=0.05)


def test_three_pixels_do_not_outweigh_everything():
    frames, background = with_square(0)
    frames[0, 0, :, 5, 5] = 0.9
    weight = foreground_weight(frames, background, CONFIG)
    assert weight.max().item() == pytest.approx(0.8 / 0.005), "the share is floored"
    still = foreground_weight(background.repeat(1, 3, 1, 1, 1), background, CONFIG)
    assert still.unique().tolist() == [pytest.approx(0.2)] and still.isfinite().all()


def test_a_difference_below_the_threshold_is_background():
    frames, background = with_square(6)
    dim = background + (frames - background).clamp(max=0.05)
    assert foreground_weight(dim, background, CONFIG).max().item() == pytest.approx(0.2)


class Copy(nn.Module):
    """A tokenizer whose latent is the picture."""

    def __init__(self, background: Tensor) -> None:
        super().__init__()
        self.background = background

    def encode_raw(self, frames: Tensor) -> Tensor:
        return frames.flatten(2).unsqueeze(2)

    def decode_raw(self, latents: Tensor) -> Tensor:
        return latents.unflatten(-1, (3, 32, 32)).squeeze(2)


class Still(nn.Module):
    """Guesses the latent that is there now."""

    def forward(self, before: Tensor, now: Tensor, action: Tensor) -> Tensor:
        return now


def test_perfect_reconstruction_and_foresight_cost_nothing():
    frames, background = with_square(6)
    config = replace(CONFIG, posterior_std=0.0)
    loss, parts = reconstruction_loss(Copy(background), Still(), frames, torch.zeros(2, 3, 1), config, seeded())
    assert parts["pixels"].item() == parts["prediction"].item() == 0.0
    assert loss.item() == pytest.approx(1e-4 * 0.5 * frames.square().mean().item())


def test_an_error_on_what_moves_costs_more():
    frames, background = with_square(6)

    class Wrong(Copy):
        def decode_raw(self, latents: Tensor) -> Tensor:
            shown = super().decode_raw(latents).clone()
            shown[..., self.at, self.at + 12] += 0.3
            return shown

    costs = []
    for at in (10, 2):  # in the square; in the background
        vae = Wrong(background)
        vae.at = at
        config = replace(CONFIG, posterior_std=0.0)
        costs.append(
            reconstruction_loss(vae, Still(), frames, torch.zeros(2, 3, 1), config, seeded())[1]["pixels"].item()
        )
    assert costs[0] > 30 * costs[1] > 0


def test_the_predictor_begins_near_standing_still_and_sees_the_action():
    torch.manual_seed(0)
    predictor = LatentPredictor(4, 3, 1)
    now = torch.randn(5, 4, 3)
    guess = predictor(now, now, torch.zeros(5, 1))
    assert guess.shape == now.shape and (guess - now).abs().mean() < 0.3
    assert not torch.allclose(guess, predictor(now, now, torch.ones(5, 1)))


def test_nothing_is_left_on_the_cpu():
    """The meta device holds no numbers, but mixes with the CPU as little as a GPU does."""
    vae, predictor = make_model("frames").tokenizer.to("meta"), LatentPredictor(4, 3, 1).to("meta")
    frames, action = torch.zeros(2, 3, 3, 32, 32, device="meta"), torch.zeros(2, 3, 1, device="meta")
    assert reconstruction_loss(vae, predictor, frames, action, CONFIG, seeded())[0].device.type == "meta"


def test_the_loss_falls_when_it_is_followed():
    torch.manual_seed(0)
    vae = make_model("frames").tokenizer.requires_grad_(True)
    frames = to_unit(torch.stack([torch.from_numpy(make_episode(s, 5).frames) for s in range(6)]))
    action = torch.zeros(6, 6, 1)
    vae.background.copy_(frames.flatten(0, 1).median(0).values)
    module = nn.ModuleList((vae, LatentPredictor(4, 3, 1, width=16)))
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3)
    losses = []
    for step in range(40):
        loss, parts = reconstruction_loss(*module, frames, action, CONFIG, seeded(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert set(parts) == {"pixels", "kl", "prediction"}
    assert losses[-1] < 0.7 * losses[0]


def test_a_tokenizer_is_held_to_the_one_that_was_given():
    """By hand: latents that differ by 0.2 everywhere cost the weight times 0.04."""
    frames, background = with_square(6)

    class Shifted(Copy):
        def encode_raw(self, frames: Tensor) -> Tensor:
            return super().encode_raw(frames) + 0.2

    config = replace(CONFIG, posterior_std=0.0, anchor=7.0)
    vae, given = Copy(background), Shifted(background)
    arguments = (vae, Still(), frames, torch.zeros(2, 3, 1), config)
    free, parts = reconstruction_loss(*arguments, seeded())
    held, held_parts = reconstruction_loss(*arguments, seeded(), given)
    assert "anchor" not in parts and held_parts["anchor"].item() == pytest.approx(0.04)
    assert (held - free).item() == pytest.approx(7.0 * 0.04, rel=1e-3)
    assert reconstruction_loss(*arguments, seeded(), vae)[1]["anchor"].item() == 0.0
