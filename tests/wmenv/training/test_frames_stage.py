"""A tokenizer that is trained on learns what is new and keeps its latents, which a policy has learned to read."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.wmenv.tiny import make_episode, make_model, preset
from wmenv.data import Episode
from wmenv.objectives.reconstruction import ReconstructionConfig
from wmenv.training import frames_stage
from wmenv.training.frames_stage import fit_frames
from wmenv.world_model import WorldModel

SIZES = preset(vae_steps=120, vae_rows=8, vae_rate=3e-3)
SEEN = [make_episode(seed, 12) for seed in range(4)]
NEW = [make_episode(seed, 12) for seed in range(20, 26)]


def fit(model: WorldModel, episodes: list[Episode], folder: Path, warm: bool, sizes=SIZES) -> None:
    """Trains the tokenizer of `model` in place."""
    model.requires_grad_(True)
    fit_frames(model, episodes, sizes, folder, seed=1, identity={}, progress=None, warm=warm)


@torch.no_grad()
def latents(model: WorldModel, episodes: list[Episode]) -> list[Tensor]:
    """Of each episode, (T + 1, N * C)."""
    return [model.tokenizer.encode(torch.from_numpy(e.frames).unsqueeze(0))[0].float().flatten(1) for e in episodes]


def drift(before: list[Tensor], after: list[Tensor]) -> float:
    """How far latents have moved, in units of their usual change from frame to frame."""
    moved = torch.cat([a - b for a, b in zip(after, before, strict=True)]).square().mean().sqrt()
    return float(moved / torch.cat([z[1:] - z[:-1] for z in before]).square().mean().sqrt())


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> WorldModel:
    """A model whose tokenizer has learned from `SEEN`."""
    torch.manual_seed(0)
    model = make_model("frames")
    fit(model, SEEN, tmp_path_factory.mktemp("first"), warm=False)
    return model


def test_a_warm_training_keeps_the_latents_and_learns(known: WorldModel, tmp_path: Path, monkeypatch):
    before = latents(known, SEEN + NEW)
    held, free = copy.deepcopy(known), copy.deepcopy(known)
    losses: list[float] = []
    held.requires_grad_(True)
    said = {"progress": lambda stage, step, of, parts: losses.append(parts["pixels"])}
    longer = preset(vae_steps=480, vae_rows=8, vae_rate=3e-3)
    fit_frames(held, SEEN + NEW, longer, tmp_path / "held", seed=1, identity={}, warm=True, **said)
    assert losses[-1] < 0.95 * losses[0], "it goes on learning"
    assert 0 < drift(before, latents(held, SEEN + NEW)) < 0.25, "of a usual change"
    monkeypatch.setattr(frames_stage, "ReconstructionConfig", lambda: ReconstructionConfig(anchor=0.0))
    fit(free, SEEN + NEW, tmp_path / "free", warm=True, sizes=longer)
    assert drift(before, latents(free, SEEN + NEW)) > 3 * drift(before, latents(held, SEEN + NEW)), "left free, they go"


def test_the_first_training_is_held_to_nothing(tmp_path: Path, monkeypatch):
    seen = []
    real = frames_stage.reconstruction_loss
    monkeypatch.setattr(frames_stage, "reconstruction_loss", lambda *a: seen.append(a[-1]) or real(*a))
    model = make_model("frames")
    fit(model, SEEN, tmp_path / "cold", warm=False, sizes=preset(vae_steps=4))
    fit(model, SEEN, tmp_path / "warm", warm=True, sizes=preset(vae_steps=16))
    assert [given is None for given in seen] == [True] * 4 + [False] * 4
    assert seen[-1] is not model.tokenizer and not any(p.requires_grad for p in seen[-1].parameters())
