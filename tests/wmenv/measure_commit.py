"""Measures what lazy commit saves: a frame committed by a pass of its own, or with the next frame.

`python -m tests.wmenv.measure_commit` prints one line for each preset, number of steps, of dreams and kind of cache.
Times are processor time, which a busy machine does not stretch; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median

import torch
from torch import Tensor

from benchmarks.cache import random_dynamics
from benchmarks.common import in_turn, spread
from tests.wmenv.dreamers import new_pool
from wmenv.cache import FrameCache, PagedCache
from wmenv.dynamics import Due, NextFrame, new_cache
from wmenv.memory import keep_freed_memory
from wmenv.presets import preset_named
from wmenv.sampling import denoise


class Sides:
    """One frame of every dream, by either way, as often as one likes: each goes on from the frame before."""

    def __init__(self, preset: str, rows: int, steps: int, kind: str) -> None:
        p = preset_named(preset)
        self.dynamics = random_dynamics(preset, p.window_frames)
        c = self.dynamics.config
        self.noise = torch.randn(rows, steps, c.num_tokens, c.token_dim)
        self.action = torch.rand(rows, c.action_dim) * 2 - 1
        self.base = torch.randn(rows, c.num_tokens, c.token_dim)
        self.caches = {side: self._empty(rows, kind) for side in ("eager", "lazy")}
        self.due: Due | None = None
        for _ in range(2):  # a pass reads the whole window, whether there are frames in it or not
            self.eager(), self.lazy()

    def _empty(self, rows: int, kind: str) -> FrameCache | PagedCache:
        if kind == "ring":
            return new_cache(self.dynamics, rows)
        return PagedCache.empty(new_pool(self.dynamics, rows * (self.dynamics.config.window + 1), "fp32"), rows)

    def eager(self) -> None:
        """S + 1 passes."""
        frame = NextFrame.begin(self.dynamics, self.caches["eager"], self.action)
        latent = denoise(frame, self.base, self.noise)
        self.caches["eager"] = frame.commit(self.base, latent, latent.new_zeros(1))

    def lazy(self) -> None:
        """S passes, of which the first also computes the frame before."""
        frame = NextFrame.begin(self.dynamics, self.caches["lazy"], self.action, self.due)
        latent = denoise(frame, self.base, self.noise)
        self.caches["lazy"], self.due = frame.count(), Due(self.base, latent, self.action)

    def apart(self) -> Tensor:
        """How far apart the two ways' latents are after all that was done, the same number of frames each."""
        frames = [
            NextFrame.begin(self.dynamics, self.caches[name], self.action, due)
            for name, due in (("eager", None), ("lazy", self.due))
        ]
        one, other = (denoise(frame, self.base, self.noise) for frame in frames)
        return (one - other).abs().max()


def measure(preset: str, rows: int, steps: int, kind: str, *, rounds: int, seconds: float) -> str:
    """One line: milliseconds of each way, and their ratio with its quartiles."""
    sides = Sides(preset, rows, steps, kind)
    start = time.process_time()
    sides.eager(), sides.lazy()
    calls = max(1, round(seconds / rounds / (time.process_time() - start)))
    times = in_turn({"eager": sides.eager, "lazy": sides.lazy}, rounds=rounds, calls=calls, clock=time.process_time)
    ratios = [a / b for a, b in zip(times["eager"], times["lazy"], strict=True)]
    low, high = spread(ratios)
    return (
        f"{preset:6s} S={steps} B={rows:3d} {kind:6s} eager {median(times['eager']):8.2f} ms  lazy "
        f"{median(times['lazy']):8.2f} ms  ratio {median(ratios):.2f} ({low:.2f} to {high:.2f})  "
        f"apart {float(sides.apart()):.0e}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["tiny", "small"])
    parser.add_argument("--kinds", nargs="+", default=["ring", "paged"])
    parser.add_argument("--steps", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of processor time for each line")
    options = parser.parse_args()
    keep_freed_memory()
    for preset in options.presets:
        for kind in options.kinds:
            for steps in options.steps:
                for rows in options.rows:
                    line = measure(preset, rows, steps, kind, rounds=options.rounds, seconds=options.seconds)
                    sys.stdout.write(line + "\n")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
