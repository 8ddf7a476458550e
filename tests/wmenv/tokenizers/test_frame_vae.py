"""The frame tokenizer: streaming equals offline, no look ahead, positions read right, sizes refused."""

from __future__ import annotations

import pytest
import torch

from tests.wmenv.tiny import make_episode, shake
from wmenv.errors import InputError
from wmenv.tokenizers import FrameVAE, FrameVAEConfig
from wmenv.tokenizers.frame_vae import SpatialSoftmax, to_unit

SIZE, T = 32, 6


@pytest.fixture
def vae() -> FrameVAE:
    vae = FrameVAE(FrameVAEConfig(image_size=SIZE, token_dim=3, width=4, grid=2)).eval().requires_grad_(False)
    shake(vae, 0, 0.1)
    vae.background.copy_(to_unit(torch.from_numpy(make_episode(0).frames[0])))
    vae.latent_mean.fill_(0.1)
    vae.latent_scale.fill_(0.5)
    return vae


@pytest.fixture
def frames() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (2, T, SIZE, SIZE, 3), generator=generator, dtype=torch.uint8)
    noise[1] = torch.from_numpy(make_episode(3, T - 1).frames)
    return noise


def test_streaming_equals_offline(vae, frames):
    latents = vae.encode(frames)
    assert latents.shape == (2, T, vae.num_tokens, vae.token_dim) == (2, T, 4, 3)
    memory, latent = vae.stream_start(frames[:, 0])
    streamed = [latent]
    for t in range(1, T):
        before = memory.clone()
        memory, latent = vae.stream_step(memory, frames[:, t])
        assert memory.shape == before.shape and memory.ndim == 2
        streamed.append(latent)
    torch.testing.assert_close(torch.stack(streamed, 1), latents, rtol=0, atol=1e-5)


def test_a_step_leaves_the_memory_as_it_was(vae, frames):
    memory, _ = vae.stream_start(frames[:, 0])
    before = memory.clone()
    vae.stream_step(memory, frames[:, 1])
    assert torch.equal(memory, before)


@pytest.mark.parametrize("frame", [0, 3, T - 1])
def test_no_latent_depends_on_a_later_frame(vae, frames, frame: int):
    """Two layers look back one frame each."""
    other = frames.clone()
    other[:, frame] = 255 - other[:, frame]
    changed = (vae.encode(other) - vae.encode(frames)).abs().amax((0, 2, 3)) > 1e-5
    assert changed.nonzero()[:, 0].tolist() == list(range(frame, min(frame + 3, T)))


@pytest.mark.parametrize("frame", [0, 3, T - 1])
def test_no_decoded_frame_depends_on_a_later_latent(vae, frame: int):
    latents = torch.randn(2, T, 4, 3, generator=torch.Generator().manual_seed(1))
    other = latents.clone()
    other[:, frame] += 1
    changed = (vae.decode_raw(other) - vae.decode_raw(latents)).abs().amax((0, 2, 3, 4)) > 1e-6
    assert changed[frame] and not changed[:frame].any()


def test_decoding_gives_pictures(vae, frames):
    pictures = vae.decode(vae.encode(frames))
    assert pictures.shape == frames.shape and pictures.dtype == torch.uint8
    wild = vae.decode(torch.full((1, 2, 4, 3), 1e4))
    assert wild.dtype == torch.uint8


def test_normalisation_is_undone_by_decoding(vae, frames):
    raw = vae.encode_raw(to_unit(frames))
    torch.testing.assert_close(vae.encode(frames) * vae.latent_scale + vae.latent_mean, raw)
    shown = (vae.decode_raw(raw).clamp(0, 1) * 255).round().to(torch.uint8).movedim(2, -1)
    assert (vae.decode(vae.encode(frames)).int() - shown.int()).abs().max() <= 1


def test_the_memory_of_a_step_is_the_last_two_frames_alone(vae, frames):
    """So two episodes that look alike for three frames are in the same place."""
    memories = []
    for first in (frames[:, 0], 255 - frames[:, 0]):
        memory, _ = vae.stream_start(first)
        for t in (1, 2, 3):
            memory, _ = vae.stream_step(memory, frames[:, t])
        memories.append(memory)
    torch.testing.assert_close(memories[0], memories[1], rtol=0, atol=1e-5)


def test_a_spatial_softmax_finds_the_brightest_place():
    layer = SpatialSoftmax(1, 1).requires_grad_(False)
    layer.feature.weight.zero_()
    layer.feature.weight[0, 0, 1, 1] = 1  # reads the picture itself
    layer.sharpness.fill_(5)
    for row, column in [(0, 0), (4, 2), (8, 8), (2, 7)]:
        picture = torch.zeros(1, 1, 9, 9)
        picture[0, 0, row, column] = 1
        torch.testing.assert_close(layer(picture), torch.tensor([[row / 4 - 1, column / 4 - 1]]), rtol=0, atol=1e-4)
    torch.testing.assert_close(layer(torch.ones(1, 1, 9, 9)), torch.zeros(1, 2), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("size", "grid"), [(48, 2), (16, 2), (64, 3), (33, 1), (0, 2)])
def test_sizes_that_fit_no_grid(size: int, grid: int):
    with pytest.raises(InputError, match="^image_size: expected 16 [*] grid"):
        FrameVAEConfig(image_size=size, token_dim=3, width=4, grid=grid)


@pytest.mark.parametrize(("size", "grid"), [(32, 1), (32, 2), (64, 2), (64, 4), (128, 2)])
def test_sizes_that_fit(size: int, grid: int):
    vae = FrameVAE(FrameVAEConfig(image_size=size, token_dim=2, width=4, grid=grid)).requires_grad_(False)
    frames = torch.zeros(1, 2, size, size, 3, dtype=torch.uint8)
    assert vae.decode(vae.encode(frames)).shape == frames.shape


def test_what_is_painted_faintly_is_the_background(vae, frames):
    """Of a decoder that paints everything a little, recorded frames say how much is too little to be shown."""
    painted = vae.decode(vae.encode(frames))
    background = (vae.background * 255).round().to(torch.uint8).movedim(0, -1)
    away = (painted.int() - background.int()).abs().amax(-1)
    assert (away > 0).float().mean() > 0.9, "an untrained decoder paints everywhere"
    vae.faint.fill_(float(away.float().median() + 0.5) / 255)
    shown = vae.decode(vae.encode(frames))
    kept = (shown.int() - background.int()).abs().amax(-1) > 0
    assert 0.3 < kept.float().mean() < 0.7
    assert torch.equal(shown[kept], painted[kept]), "what is not faint stays as it was"


def test_how_faint_is_found_from_recorded_frames(vae, monkeypatch):
    """A square of contrast 0.2 stays; dirt of contrast 0.06 goes, unless it was recorded."""
    vae.background.fill_(0.5)
    square = vae.background.repeat(2, T, 1, 1, 1)
    square[..., 8:20, 8:20] = 0.7
    dirt = square + 0.06 * torch.randn(square.shape, generator=torch.Generator().manual_seed(0)).sign()
    monkeypatch.setattr(vae, "decode_raw", lambda latents: dirt)
    vae.fit_faint(square)
    assert 0.06 < vae.faint < 0.14
    vae.fit_faint(dirt)
    assert vae.faint == 0
