"""R10: what it costs that a tenth of the rows begin anew in every step, against rows that go on.

Both sides are whole vector environments, so that drawing starts, writing rows and handing out their observations count.
A ring begins from a copy of its start's; where the rings of all starts are too many to keep, frames are computed anew
at each reset. Pages are named, and in few bits more starts fit.

# B dreams
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from statistics import median

import numpy as np

from wmenv import DreamVectorEnv, WorldModel

from .models import staggered, untrained_model
from .plan import Plan
from .rows import Point, Row, line
from .timing import timed

EPISODE = 10
"""Steps of a short episode: a tenth of the rows is reset in each step."""

ENDLESS = 10**9
MEMORIES: Mapping[str, Mapping[str, str]] = {"ring": {}, "int8 pages": {"cache": "paged", "codec": "int8"}}
TARGETS = {"cpu": 0.02, "cuda": 0.01}


def resets(plan: Plan) -> Iterator[Row | Point]:
    """R10; with fewer than ten rows there is not one to reset in each step."""
    for preset, rows in plan.settings():
        if rows < EPISODE:
            continue
        model = untrained_model(preset, "frames", device=plan.device)
        for memory, options in MEMORIES.items():
            error = difference(model, rows, options)
            short, long = (_stepper(staggered(model, rows, horizon, **options)) for horizon in (EPISODE, ENDLESS))
            times = timed({"plain": short, "ours": long}, seconds=plan.seconds, device=plan.device)
            more = [a / b - 1 for a, b in zip(times["plain"], times["ours"], strict=True)]
            sides = {side: median(values) for side, values in times.items()}
            yield line(
                "R10", "added by resets of a tenth", f"{preset}, B={rows}, {memory}", more,
                unit="of a step", target=TARGETS[plan.device], at_most=True, error=error, **sides,
            )  # fmt: skip


def difference(model: WorldModel, rows: int, options: Mapping[str, str]) -> float:
    """How far rows that go on differ after a step in which others were reset: 0, if resets touch only their own."""
    after, ended = [], None
    for horizon in (EPISODE, ENDLESS):
        envs = staggered(model, rows, horizon, **options)
        obs, _, terminated, truncated, _ = envs.step(np.zeros(envs.action_space.shape, np.float32))
        ended = terminated | truncated if ended is None else ended
        after.append(obs[~ended])
    assert ended is not None and ended.any() and not ended.all()
    return float(np.abs(after[0] - after[1]).max())


def _stepper(envs: DreamVectorEnv) -> Callable[[], object]:
    action = np.zeros(envs.action_space.shape, np.float32)
    return lambda: envs.step(action)
