"""Do the latents hold the state? A small network reads every coordinate from the latents of held-out frames.

The tokenizer never sees a state; only this probe does, after the fact. What it cannot read, no policy can use.

# M frames, D numbers of a latent frame, S state coordinates
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..training.dynamics_stage import encode_episodes
from .episodes import check_episodes

if TYPE_CHECKING:
    from ..data import Episode
    from ..world_model import WorldModel

STEPS = 2000


def probe_latents(
    model: WorldModel, training: Sequence[Episode], held_out: Sequence[Episode], *, seed: int = 0
) -> dict[str, Any]:
    """Fit the probe on training episodes, score it on held-out ones.

    Args:
        model: the world model whose tokenizer is probed.
        training: episodes to fit the probe to.
        held_out: episodes to score it on.
        seed: of the probe's weights and batches.

    Returns:
        "names", and per coordinate "r2" and "rmse" (in the coordinate's unit). Input are the latents of two
        consecutive frames, so that velocities can be read; "frames" says how many pairs were scored.

    Raises:
        InputError: there is no episode to fit to, or none to score on.
    """
    check_episodes(training=training, held_out=held_out)
    with torch.random.fork_rng(devices=[]):  # the caller's stream goes on as if none were drawn
        torch.default_generator.manual_seed(seed)
        return _fit_and_score(model, training, held_out)


def _fit_and_score(model: WorldModel, training: Sequence[Episode], held_out: Sequence[Episode]) -> dict[str, Any]:
    """See `probe_latents`; draws from torch's default generator."""
    x, y = _pairs(model, training)
    x_test, y_test = _pairs(model, held_out)
    low, scale = x.mean(0), x.std(0) + 1e-6
    middle, spread = y.mean(0), y.std(0) + 1e-6
    net = nn.Sequential(
        nn.Linear(x.shape[1], 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, y.shape[1])
    )
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    x, y = (x - low) / scale, (y - middle) / spread
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - step / STEPS)
        rows = torch.randint(len(x), (256,))
        loss = (net(x[rows]) - y[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        error = (net((x_test - low) / scale) * spread + middle - y_test).square().mean(0)
    variance = y_test.var(0, unbiased=False).clamp(min=1e-12)
    return {
        "names": list(model.config.state_names),
        "r2": (1 - error / variance).tolist(),
        "rmse": error.sqrt().tolist(),
        "frames": len(x_test),
    }


def _pairs(model: WorldModel, episodes: Sequence[Episode]) -> tuple[Tensor, Tensor]:
    data = encode_episodes(model, list(episodes))
    now = torch.ones(len(data.latent), dtype=torch.bool)
    now[data.start] = False
    now = now.nonzero()[:, 0]
    z = data.latent.flatten(1)
    states = torch.cat([torch.from_numpy(e.state) for e in episodes])
    return torch.cat((z[now], z[now] - z[now - 1]), dim=1), states[now]
