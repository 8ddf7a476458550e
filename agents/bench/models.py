"""Networks with random weights, since time does not depend on them, and what makes a vector of dreams of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from wmenv import DreamVectorEnv, WorldModel, config, dynamics, presets, tokenizers

STATE_DIM = ACTION_DIM = 6
STARTS = 256
NEVER = -100.0
"""Logit of termination at which no row ends before its horizon."""


def random_dynamics(preset: str, window: int | None = None, *, device: str = "cpu") -> dynamics.Dynamics:
    """A dynamics of a preset's sizes for frames, none of whose paths is dead; the same weights at every call."""
    p = presets.preset_named(preset)
    sizes = dynamics.DynamicsConfig(
        num_tokens=p.grid**2, token_dim=p.token_dim, grid=(p.grid, p.grid), action_dim=ACTION_DIM,
        width=p.width, depth=p.depth, heads=p.heads, window=p.window_frames if window is None else window,
    )  # fmt: skip
    torch.manual_seed(0)
    network = dynamics.Dynamics(sizes).eval().requires_grad_(False)
    for parameter in network.parameters():
        if not parameter.any():
            parameter.normal_(std=0.05)
    return network.to(device)


def untrained_model(preset: str, modality: str, *, device: str = "cpu") -> WorldModel:
    """A world model of a preset's sizes with random weights and contexts, whose episodes end by their horizon alone."""
    p, frames = presets.preset_named(preset), modality == "frames"
    slots, tokens, channels = [], p.grid**2, p.token_dim
    if not frames:
        slots, tokens, channels = tokenizers.group_slots(range(STATE_DIM), p.max_tokens)
    sizes = config.WorldModelConfig(
        task="untrained",
        modality=modality,
        fps=50.0,
        image_size=64 if frames else None,
        state_names=tuple(f"s{i}" for i in range(STATE_DIM)),
        state_low=(-10.0,) * STATE_DIM,
        state_high=(10.0,) * STATE_DIM,
        state_slots=tuple(slots),
        action_low=(-1.0,) * ACTION_DIM,
        action_high=(1.0,) * ACTION_DIM,
        max_episode_steps=50,
        history=p.history_frames if frames else p.history_state,
        num_tokens=tokens,
        token_dim=channels,
        vae_width=p.vae_width if frames else 0,
        grid=p.grid if frames else 0,
        width=p.width,
        depth=p.depth,
        heads=p.heads,
        window=p.window_frames if frames else p.window_state,
        head_width=p.head_width,
        denoise_steps=p.denoise_steps,
        num_starts=STARTS,
    )
    torch.manual_seed(0)
    model = WorldModel(sizes).eval().requires_grad_(False)
    shape = (STARTS, model.context)
    model.set_starts(
        torch.randn(*shape, tokens, channels),
        torch.zeros(*shape, ACTION_DIM),
        torch.ones(shape).bool(),
        torch.ones(STARTS),
    )
    model.heads.termination[-1].bias.fill_(NEVER)
    return model.to(device)


def staggered(model: WorldModel, num_envs: int, horizon: int, **options: Any) -> DreamVectorEnv:
    """A vector of dreams of which one in `horizon` ends in every step, after all starts have been begun from once.

    `options` are the environment's.
    """
    envs = DreamVectorEnv(model, num_envs, horizon=horizon, **options)
    for first in range(0, model.num_starts, num_envs):
        envs.reset(seed=0, options={"start": (first + np.arange(num_envs)) % model.num_starts})
    snapshot = envs.save_state()
    elapsed = torch.arange(num_envs, device=envs.device) % horizon
    envs.load_state(snapshot._replace(core=snapshot.core._replace(elapsed=elapsed)))
    return envs
