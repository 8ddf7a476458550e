"""Measures a dreamed step over the cache against one that recomputes the window: same weights, inputs and outputs.

`python -m benchmarks.cache` writes benchmarks/cache.json. A step is what a control step of a dream needs of the
dynamics: S denoising passes, and for the cached side one more that commits the frame. Heads and tokenizer are left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median

import torch
from torch import Tensor

from agents.speed import cores
from wmenv.cache import FrameCache
from wmenv.dynamics import Dynamics, DynamicsConfig, NextFrame, new_cache
from wmenv.memory import keep_freed_memory
from wmenv.presets import preset_named
from wmenv.sampling import denoise

from .common import Value, in_turn, spread, write
from .recompute import WindowFrame

TARGETS = {1: 4.0, 16: 10.0}  # so many times as fast, by number of dreams
SETTINGS = [("tiny", window, None) for window in (6, 16, 32, 64)]
SETTINGS += [("small", window, None) for window in (6, 16, 32, 64)] + [("small", 16, 4)]
"""Preset, window and denoising steps; None: the preset's own."""
TOLERANCE = 1e-3  # of latents of unit scale, in float32
ACTION_DIM = 3


def random_dynamics(preset: str, window: int) -> Dynamics:
    """A dynamics of a preset's sizes for frames, none of whose paths is dead."""
    p = preset_named(preset)
    config = DynamicsConfig(
        num_tokens=p.grid**2, token_dim=p.token_dim, grid=(p.grid, p.grid), action_dim=ACTION_DIM,
        width=p.width, depth=p.depth, heads=p.heads, window=window,
    )  # fmt: skip
    torch.manual_seed(0)
    dynamics = Dynamics(config).eval().requires_grad_(False)
    for parameter in dynamics.parameters():
        if not parameter.any():
            parameter.normal_(std=0.05)
    return dynamics


class Sides:
    """One step at the end of a full window, by either way, as often as one likes."""

    def __init__(self, dynamics: Dynamics, rows: int, steps: int) -> None:
        c = dynamics.config
        self.dynamics = dynamics
        self.contexts = torch.randn(rows, c.window, c.num_tokens, c.token_dim)
        self.actions = torch.rand(rows, c.window + 1, c.action_dim) * 2 - 1
        self.noise = torch.randn(rows, steps, c.num_tokens, c.token_dim)
        self.base = self.contexts[:, -1]
        self.clean = torch.zeros(1)
        self.cache = self._prefilled()

    def cached(self) -> Tensor:
        """The next latents (B, N, C); writes into the cache's free slot, as environments do."""
        frame = NextFrame.begin(self.dynamics, self.cache, self.actions[:, -1])
        latent = denoise(frame, self.base, self.noise)
        frame.commit(self.base, latent, self.clean)
        return latent

    def recomputed(self) -> Tensor:
        """The same from the window's latents alone; there is nothing to commit."""
        return denoise(WindowFrame.begin(self.dynamics, self.contexts, self.actions), self.base, self.noise)

    def _prefilled(self) -> FrameCache:
        cache, base = new_cache(self.dynamics, len(self.contexts)), self.contexts[:, 0]
        for t in range(self.contexts.shape[1]):
            frame = NextFrame.begin(self.dynamics, cache, self.actions[:, t])
            cache = frame.commit(base, self.contexts[:, t], self.clean)
            base = self.contexts[:, t]
        return cache


def measure(
    preset: str, window: int, rows: int, *, denoise_steps: int | None = None, seconds: float
) -> dict[str, Value]:
    """One row of the table, from some rounds in which both sides run in turn for about `seconds` together."""
    p = preset_named(preset)
    steps = p.denoise_steps if denoise_steps is None else denoise_steps
    sides = Sides(random_dynamics(preset, window), rows, steps)
    difference = float((sides.cached() - sides.recomputed()).abs().max())
    begun = time.perf_counter()
    sides.cached(), sides.recomputed()
    pair = time.perf_counter() - begun
    calls = max(1, int(seconds / 15 / pair))
    rounds = max(3, min(15, int(seconds / (calls * pair))))
    times = in_turn({"cached": sides.cached, "recomputed": sides.recomputed}, rounds=rounds, calls=calls)
    ratios = [b / a for a, b in zip(times["cached"], times["recomputed"], strict=True)]
    low, high = spread(ratios)
    return {
        "preset": preset,
        "window": window,
        "denoise_steps": steps,
        "of_the_preset": (window, steps) == (p.window_frames, p.denoise_steps),
        "num_dreams": rows,
        "cached_ms": median(times["cached"]),
        "recomputed_ms": median(times["recomputed"]),
        "ratio": median(ratios),
        "ratio_low": low,
        "ratio_high": high,
        "target": TARGETS[rows],
        "reached": median(ratios) >= TARGETS[rows],
        "max_difference": difference,
    }


def main() -> None:
    """Measure every setting, print a line for each, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="about so long for each setting")
    parser.add_argument("--cores", type=int, default=cores(), help="threads of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.cores)
    keep_freed_memory()
    table = []
    for preset, window, steps in SETTINGS:
        for rows in TARGETS:
            row = measure(preset, window, rows, denoise_steps=steps, seconds=options.seconds)
            table.append(row)
            sys.stdout.write(
                f"{preset:6s} W={window:<3d} S={row['denoise_steps']} B={rows:<3d} {row['cached_ms']:9.2f} "
                f"{row['recomputed_ms']:9.2f} ms  {row['ratio']:.1f}x, target {row['target']:g}x  "
                f"difference {row['max_difference']:.1e}\n"
            )
    met, missed = (
        "; ".join(
            f"{r['preset']}, {r['window']}, {r['denoise_steps']}, {r['num_dreams']}"
            for r in table
            if r["reached"] is reached
        )
        for reached in (True, False)
    )
    notes = (
        "One control step of the dynamics: denoise and commit over the cache, against S passes over the whole window "
        "of contexts and the frame to come (who keeps the contexts' keys for the S passes of one frame has a cache for "
        "that frame, and is up to S times as fast as this). Medians of rounds in turn, ratios within a round; low and "
        f"high are the quartiles; torch has {options.cores} threads. Target reached (preset, window, steps, dreams): "
        f"{met or 'none'}. Not reached: {missed or 'none'}."
    )
    write("cache", table, notes=notes)
    worst = max(float(r["max_difference"]) for r in table)
    if worst > TOLERANCE:
        sys.exit(f"cache: expected equal latents within {TOLERANCE:g}, got a difference of {worst:.2g}")


if __name__ == "__main__":
    main()
