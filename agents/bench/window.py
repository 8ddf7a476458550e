"""R1: a dreamed step over the cache against one that recomputes its window.

A step is what a control step of a dream needs of the dynamics: S denoising passes; on the cached side the first of them
also puts the frame before into the cache. Heads and tokenizer are left out.

# B dreams, S denoising steps, W window, N tokens, C channels
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from wmenv import cache, dynamics, presets, sampling

from .models import random_dynamics
from .plan import Plan
from .recompute import WindowFrame
from .rows import Point, Row, largest_difference, ratio

TARGETS = {"cpu": {1: 4.0, 16: 10.0}, "cuda": {256: 10.0, 1024: 10.0}}
"""So many times as fast, by number of dreams."""

MANY_STEPS = 4
SEVERAL = 16
"""Most dreams for which windows other than the preset's own are tried: recomputing them takes seconds."""


class Sides:
    """One step at the end of a full window, by either way, as often as one likes.

    The cached side commits lazily, which is how dreams are stepped unless told otherwise.
    """

    def __init__(self, network: dynamics.Dynamics, rows: int, steps: int) -> None:
        c, device = network.config, network.head.weight.device
        generator = torch.Generator().manual_seed(1)

        def normal(*shape: int) -> Tensor:
            return torch.randn(rows, *shape, generator=generator).to(device)

        self.network = network
        self.contexts = normal(c.window, c.num_tokens, c.token_dim)
        self.actions = normal(c.window + 1, c.action_dim).clamp_(-1, 1)
        self.noise = normal(steps, c.num_tokens, c.token_dim)
        self.base = self.contexts[:, -1]
        self.cache, self.due = self._prefilled(torch.zeros(1, device=device))

    def cached(self) -> Tensor:
        """The next latents (B, N, C); writes into the cache's places of this frame and the last, as environments do."""
        frame = dynamics.NextFrame.begin(self.network, self.cache, self.actions[:, -1], self.due)
        latent = sampling.denoise(frame, self.base, self.noise)
        frame.count()
        return latent

    def recomputed(self) -> Tensor:
        """The same from the window's latents alone; there is nothing to commit."""
        return sampling.denoise(WindowFrame.begin(self.network, self.contexts, self.actions), self.base, self.noise)

    def _prefilled(self, clean: Tensor) -> tuple[cache.FrameCache, dynamics.Due]:
        """A cache that counts the whole window, and its last frame, which is due."""
        held, base = dynamics.new_cache(self.network, len(self.contexts)), self.contexts[:, 0]
        *past, last = self.contexts.unbind(1)
        for t, latent in enumerate(past):
            held = dynamics.NextFrame.begin(self.network, held, self.actions[:, t]).commit(base, latent, clean)
            base = latent
        counted = dynamics.NextFrame.begin(self.network, held, self.actions[:, -2]).count()
        return counted, dynamics.Due(base, last, self.actions[:, -2])


def recomputing(plan: Plan) -> Iterator[Row | Point]:
    """R1, at the preset's own window and steps, in more steps, and at other windows."""
    for preset, rows in plan.settings():
        p = presets.preset_named(preset)
        tried = [(p.window_frames, p.denoise_steps)]
        if rows <= SEVERAL:
            tried += [(p.window_frames, MANY_STEPS)] if p.denoise_steps != MANY_STEPS else []
            tried += [(window, p.denoise_steps) for window in plan.windows if window != p.window_frames]
        for window, steps in tried:
            sides = Sides(random_dynamics(preset, window, device=plan.device), rows, steps)
            error = largest_difference(sides.cached(), sides.recomputed())
            setting, target = f"{preset}, B={rows}, S={steps}, W={window}", TARGETS[plan.device].get(rows)
            row = ratio(
                plan, "R1", "cached against recomputed", setting, sides.recomputed, sides.cached,
                target=target, error=error,
            )  # fmt: skip
            yield row
            if (window, steps) == tried[0]:
                yield Point("batch", preset, "window recomputed", rows, rows / row["plain"] * 1e3)
            if rows == 1 and steps == p.denoise_steps:
                yield Point("frames", preset, "all recomputed", window, row["plain"])
