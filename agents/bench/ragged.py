"""R12: dreams whose frames need unequal numbers of denoising steps, handed out as they are done or all together.

Both sides make the same frames in as many denoising steps each. All together, rows that are done leave the forwards and
wait for the last one; out of step they are handed out, and take their next action while the others go on
(`wmenv.envs.AsyncDreamVectorEnv`). Where all rows need as many, being out of step can only cost.

# B dreams, S denoising steps
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from wmenv import AsyncDreamVectorEnv, WorldModel

from .models import untrained_model
from .plan import Plan
from .rows import Point, Row, largest_difference, ratio

BUDGETS = (1, 2, 4, 8)
EQUAL = 4
ENDLESS = 10**9
PARTS = 4
"""A batch is handed out in so many parts."""

PERIOD, CHECKED = 64, 3
"""Frames after which drawn budgets repeat; frames after which both sides' dreams are compared."""


def ragged(plan: Plan) -> Iterator[Row | Point]:
    """R12, in whole parts of a batch."""
    for preset, most in plan.settings():
        rows = most // PARTS * PARTS
        if not rows:
            continue
        model = untrained_model(preset, "frames", device=plan.device)
        for name, budgets in (("equal steps", (EQUAL,)), ("unequal steps", BUDGETS)):
            sides = [Handed(model, rows, parts, budgets) for parts in (1, PARTS)]
            error = largest_difference(*(side.observed(CHECKED) for side in sides))
            yield ratio(
                plan, "R12", f"out of step, {name}", f"{preset}, B={rows}, S of {', '.join(map(str, budgets))}",
                sides[0], sides[1], error=error,
            )  # fmt: skip


class Handed:
    """Dreams that are handed out in so many parts; a call hands out as many rows as there are.

    Args:
        model: whose dreams.
        rows: B.
        parts: 1: all together.
        budgets: steps of a frame; which one it is follows from its row and from how many frames came before.
    """

    def __init__(self, model: WorldModel, rows: int, parts: int, budgets: Sequence[int]) -> None:
        self.parts, self.size, self.budgets = parts, rows // parts, budgets
        self.envs = AsyncDreamVectorEnv(model, rows, batch_size=self.size, horizon=ENDLESS)
        self.drawn = np.random.default_rng(0).choice(budgets, (PERIOD, rows))
        self.made = np.zeros(rows, dtype=np.int64)
        self.action = np.zeros((self.size, *self.envs.single_action_space.shape), np.float32)
        self.envs.async_reset(seed=0)
        for rows_received in [self.envs.recv()[-1]["env_id"] for _ in range(parts)]:
            self._send(rows_received)

    def __call__(self) -> None:
        """Hand out as many rows as there are, each of which goes on at once."""
        for _ in range(self.parts):
            self._send(self.envs.recv()[-1]["env_id"])

    def observed(self, frames: int) -> Tensor:
        """What every row shows after its first `frames` frames, (B, O); whichever hands them out, the same."""
        seen: dict[int, np.ndarray] = {}
        while len(seen) < len(self.made):
            obs, *_, info = self.envs.recv()
            for row, one in zip(info["env_id"].tolist(), obs, strict=True):
                if self.made[row] == frames:
                    seen[row] = one
            self._send(info["env_id"])
        return torch.from_numpy(np.stack([seen[row] for row in range(len(self.made))]))

    def _send(self, rows: np.ndarray) -> None:
        self.envs.send(self.action, rows, steps=self.drawn[self.made[rows] % PERIOD, rows].tolist())
        self.made[rows] += 1
