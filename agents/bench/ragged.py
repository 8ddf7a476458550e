"""R12: dreams whose frames need unequal numbers of denoising steps, out of step against a batch in step.

In step all rows wait for the one that needs most. Out of step a row is handed out when it is done, and takes its next
action while the others go on (`wmenv.envs.AsyncDreamVectorEnv`). Where all rows need as many, being out of step can
only cost.

# B dreams, S denoising steps
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from wmenv import DreamVectorEnv, WorldModel
from wmenv.envs import AsyncDreamVectorEnv

from .models import untrained_model
from .plan import Plan
from .rows import Point, Row, ratio

BUDGETS = (1, 2, 4, 8)
EQUAL = 4
ENDLESS = 10**9
PARTS = 4
"""A batch is handed out in so many parts."""


def ragged(plan: Plan) -> Iterator[Row | Point]:
    """R12; a batch that cannot be parted has no rows to be out of step."""
    for preset, rows in plan.settings():
        if rows < PARTS:
            continue
        model = untrained_model(preset, "frames", device=plan.device)
        error = difference(model, rows)
        yield ratio(
            plan, "R12", "equal steps", f"{preset}, B={rows}, S={EQUAL}",
            in_step(model, rows, EQUAL), out_of_step(model, rows, [EQUAL]), error=error,
        )  # fmt: skip
        yield ratio(
            plan, "R12", "unequal steps", f"{preset}, B={rows}, S of {', '.join(map(str, BUDGETS))}",
            in_step(model, rows, max(BUDGETS)), out_of_step(model, rows, BUDGETS), error=error,
        )  # fmt: skip


def in_step(model: WorldModel, rows: int, steps: int) -> Callable[[], object]:
    """A call steps every row once, in `steps` denoising steps."""
    envs = DreamVectorEnv(model, rows, steps=steps, horizon=ENDLESS)
    envs.reset(seed=0)
    action = np.zeros(envs.action_space.shape, np.float32)
    return lambda: envs.step(action)


def out_of_step(model: WorldModel, rows: int, budgets: list[int] | tuple[int, ...]) -> Callable[[], object]:
    """A call hands out as many rows as there are, in parts, each frame with a budget drawn from `budgets`."""
    rng = np.random.default_rng(0)
    size = rows // PARTS
    envs = AsyncDreamVectorEnv(model, rows, batch_size=size, horizon=ENDLESS)
    envs.async_reset(seed=0)
    action = np.zeros((size, *envs.single_action_space.shape), np.float32)
    received = [envs.recv()[-1]["env_id"] for _ in range(PARTS)]
    for ids in received:
        envs.send(action, ids, steps=rng.choice(budgets, size).tolist())

    def call() -> None:
        for _ in range(PARTS):
            ids = envs.recv()[-1]["env_id"]
            envs.send(action, ids, steps=rng.choice(budgets, size).tolist())

    return call


def difference(model: WorldModel, rows: int) -> float:
    """How far the observations of equal rows are apart after a step of equal budgets: rounding."""
    together = DreamVectorEnv(model, rows, steps=EQUAL, horizon=ENDLESS)
    together.reset(seed=0)
    action = np.zeros(together.action_space.shape, np.float32)
    alone = AsyncDreamVectorEnv(model, rows, steps=EQUAL, horizon=ENDLESS)
    alone.async_reset(seed=0)
    alone.recv()
    obs, *_, info = alone.step(action, np.arange(rows))
    return float(np.abs(obs - together.step(action)[0][info["env_id"]]).max())
