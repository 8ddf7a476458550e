"""A task in closed form, its recordings, and networks small enough to train in a second.

A mass on a line: x' = x + 0.1 v, v' = 0.9 v + 0.3 a; it pays -x^2 - 0.01 a^2 and falls off where |x| > 1.5. The camera
sees a square where the mass is. Both the state and its latents are linear in the past, so that errors are known.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wmenv.cache import FrameCache, copy_cache
from wmenv.config import WorldModelConfig
from wmenv.data import DataInfo, Episode, EpisodeStore
from wmenv.dynamics import Dynamics, DynamicsConfig, NextFrame
from wmenv.presets import Preset
from wmenv.world_model import WorldModel

SIZE = 32
EDGE = 1.5

PRESET = Preset(
    vae_width=4, token_dim=3, grid=2, max_tokens=2,
    width=32, depth=2, heads=2, window_frames=3, window_state=3, history_frames=2, history_state=2, head_width=16,
    denoise_steps=2, vae_steps=8, vae_rows=4, vae_frames=3, vae_rate=1e-3,
    steps=12, rows=4, frames=4, rate=1e-3, full_noise=0.6, context_noise=0.3, free_context=0.05,
    own_frames=2, starts=16,
)  # fmt: skip


def preset(**changes: Any) -> Preset:
    """The smallest preset, with changes."""
    return replace(PRESET, **changes)


def make_info(**changes: Any) -> DataInfo:
    """What the mass's recordings hold."""
    fields: dict[str, Any] = {
        "task": "wmenv/Mass-v0",
        "fps": 10.0,
        "size": SIZE,
        "state_names": ("qpos:mass [m]", "qvel:mass [m/s]"),
        "state_groups": (0, 1),
        "action_low": (-2.0,),
        "action_high": (2.0,),
        "max_episode_steps": 50,
        "policy": "random",
        "seed": 0,
    }
    return DataInfo(**(fields | changes))


def picture(x: float) -> np.ndarray:
    """What the camera sees, uint8 (SIZE, SIZE, 3)."""
    frame = np.full((SIZE, SIZE, 3), 40, np.uint8)
    column = int(np.clip((x / EDGE + 1) / 2 * (SIZE - 6), 0, SIZE - 6))
    frame[12:18, column : column + 6] = (240, 120, 30)
    return frame


def make_episode(seed: int, steps: int = 20, *, frames: bool = True, **changes: Any) -> Episode:
    """An episode of at most `steps` steps that follows from `seed`."""
    rng = np.random.default_rng(seed)
    states = [rng.uniform(-0.5, 0.5, 2)]
    actions, rewards, fallen = [], [], False
    while len(actions) < steps and not fallen:
        (x, v), a = states[-1], rng.uniform(-2, 2)
        states.append(np.array([x + 0.1 * v, 0.9 * v + 0.3 * a]))
        actions.append([a])
        rewards.append(-(x**2) - 0.01 * a**2)
        fallen = abs(states[-1][0]) > EDGE
    state = np.array(states, np.float32)
    fields: dict[str, Any] = {
        "state": state,
        "frames": np.stack([picture(x) for x in state[:, 0]]) if frames else None,
        "action": np.array(actions, np.float32),
        "reward": np.array(rewards),
        "terminated": fallen,
        "truncated": not fallen,
        "qpos": state[:, :1],
        "qvel": state[:, 1:],
    }
    return Episode(**(fields | changes))


def make_store(path: Path, count: int = 6, *, frames: bool = True, steps: int = 20, **info: Any) -> EpisodeStore:
    """A data set of `count` episodes; without frames when `frames` is False."""
    store = EpisodeStore.create(path, make_info(**({} if frames else {"size": None}) | info))
    store.append([make_episode(seed, steps, frames=frames) for seed in range(count)])
    return store


def shake(module: torch.nn.Module, seed: int = 0, spread: float = 0.3) -> None:
    """Give every parameter a random value, so that no path through a zero-initialised network is dead."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * spread)


def random_dynamics(seed: int = 0, **changes: Any) -> Dynamics:
    """A dynamics in float64 none of whose weights is zero."""
    sizes: dict[str, Any] = {
        "num_tokens": 3, "token_dim": 2, "grid": (3, 1), "action_dim": 2,
        "width": 32, "depth": 2, "heads": 2, "window": 4,
    }  # fmt: skip
    dynamics = Dynamics(DynamicsConfig(**(sizes | changes))).double().requires_grad_(False)
    shake(dynamics, seed, 0.2)
    dynamics.delta_scale.copy_(torch.linspace(0.5, 1.5, dynamics.delta_scale.numel()).view_as(dynamics.delta_scale))
    return dynamics


def next_frame(dynamics: Dynamics, cache: FrameCache, action: Tensor) -> NextFrame:
    """The frame that `action` leads to, begun on a copy: `cache` stays as it is."""
    return NextFrame.begin(dynamics, copy_cache(cache), action)


def make_config(modality: str = "state", **changes: Any) -> WorldModelConfig:
    """A model of the mass, for frames or states."""
    seen: dict[str, Any] = {"image_size": None, "state_slots": (0, 2), "num_tokens": 2, "token_dim": 2}
    if modality == "frames":
        seen = {"image_size": SIZE, "state_slots": (), "num_tokens": 4, "token_dim": 3}
    seen |= {"vae_width": 4, "grid": 2} if modality == "frames" else {"vae_width": 0, "grid": 0}
    fields: dict[str, Any] = {
        "task": "wmenv/Mass-v0", "modality": modality, "fps": 10.0, "state_names": make_info().state_names,
        "state_low": (-1.5, -3.0), "state_high": (1.5, 3.0), "action_low": (-2.0,), "action_high": (4.0,),
        "max_episode_steps": 50, "history": 2, "width": 32, "depth": 2, "heads": 2, "window": 3, "head_width": 16,
        "denoise_steps": 2, "num_starts": 5,
    }  # fmt: skip
    return WorldModelConfig(**(fields | seen | changes))


def make_model(modality: str = "state", seed: int = 0, **changes: Any) -> WorldModel:
    """A world model with random weights and random starts; its second start is an episode's first observation."""
    model = WorldModel(make_config(modality, **changes)).eval().requires_grad_(False)
    shake(model, seed, 0.15)
    generator = torch.Generator().manual_seed(seed)
    k, w, (n, c) = model.num_starts, model.context, model.latent_shape
    latents = torch.randn(k, w, n, c, generator=generator)
    valid, initial = torch.ones(k, w, dtype=torch.bool), torch.zeros(k, dtype=torch.bool)
    valid[1, :-1], initial[1] = False, True
    latents[1] = latents[1, -1:]
    actions = torch.rand(k, w, model.config.action_dim, generator=generator) * 2 - 1
    model.set_starts(latents, actions * valid.unsqueeze(-1), valid, initial)
    return model


def same_tensors(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two state dicts are equal bit for bit."""
    return set(a) == set(b) and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)
