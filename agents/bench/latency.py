"""R5: how long a person waits for the next frame of one dream, decoded and brought to the host.

# S denoising steps
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean, median, quantiles

import numpy as np

from wmenv import DreamVectorEnv

from .models import untrained_model
from .plan import Plan
from .rows import Point, Row, line
from .timing import in_turn

STEPS = (1, 4)
TARGETS = {"cpu": 20.0, "cuda": 250.0}
"""Frames a second that all but one frame in a hundred reach; 250 are 4 ms a frame."""

FEWEST = 100


def one_dream(plan: Plan) -> Iterator[Row | Point]:
    """R5: every frame is timed by itself, the episodes' ends among them."""
    for preset in plan.batches:
        model = untrained_model(preset, "frames", device=plan.device)
        for steps in STEPS:
            envs = DreamVectorEnv(model, 1, obs="frames", steps=steps)
            envs.reset(seed=0)
            action = np.zeros(envs.action_space.shape, np.float32)
            yield from _waits(plan, f"{preset}, B=1, S={steps}", envs, action)
            envs.close()


def _waits(plan: Plan, setting: str, envs: DreamVectorEnv, action: np.ndarray) -> Iterator[Row]:
    """Mean, median and the slowest frame in a hundred; what `step` returns lies on the host, so no clock must wait."""
    first = in_turn({"frame": lambda: envs.step(action)}, rounds=2, calls=1)["frame"]
    count = max(FEWEST, int(plan.seconds * 1e3 / first[-1]))
    times = in_turn({"frame": lambda: envs.step(action)}, rounds=count, calls=1)["frame"]
    slowest = quantiles(times, n=100, method="inclusive")[-1]
    for part, ms, target in (
        ("one dream, mean frame", mean(times), None),
        ("one dream, median frame", median(times), None),
        ("one dream, p99 frame", slowest, TARGETS[plan.device]),
    ):
        yield line("R5", part, setting, [1e3 / ms], unit="frames/s", ours=ms, target=target)
