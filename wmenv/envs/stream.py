"""Dreams that are not in step: each row takes its own number of passes for a frame, and waits for its own action.

All rows that are on their way share each forward, whatever frame and denoising step they are at; a row that is done is
free at once for its next action. This is continuous batching, without a server. What a row dreams does not depend on
whom it shares a forward with, but for rounding: it is what `DreamCore.step` would have dreamed.

# B rows, K rows of a call, N tokens, C channels, A action size
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .. import ranges
from ..cache import FrameCache, count_rows
from ..dynamics import Due, Making, estimate_some
from ..errors import InputError
from ..random import normal
from ..sampling import at_rest, euler, halving
from ..types import LazyState
from ..world_model import WorldModel
from .core import CoreState, DreamCore, Outcome
from .dreams import OwnMemory


class DreamStream:
    """B rows of a core, each at a place of its own. Rows are taken on by `take`, and moved by `tick` until they arrive.

    Args:
        core: over a `WorldModel` whose rows have memories of their own and are committed lazily.
        state: the rows; from now on the stream's, which writes in place.
        tolerance: end a row's denoising once its estimate has changed by less since the step before: root mean square
            over the frame, in units of the mean change of latents; noise then halves in each step (`RestingSampler`).
            None: make all steps, whose noise falls evenly.

    Raises:
        InputError: see `check_streams`.
    """

    def __init__(self, core: DreamCore, state: CoreState, *, tolerance: float | None = None) -> None:
        self.model = check_streams(core, tolerance)
        self.core, self.state, self.tolerance = core, state, tolerance
        rows, like = len(state.seed), state.dream.base
        self._noised, self._answer = torch.zeros_like(like), torch.zeros_like(like)
        self._action = torch.zeros_like(state.dream.action)
        self._step, self._steps = np.zeros(rows, dtype=np.int64), np.ones(rows, dtype=np.int64)
        self._moving = np.zeros(rows, dtype=bool)
        self.passes = 0
        """Forwards of single frames so far: what the dreams have cost, without what was due."""

    @property
    def moving(self) -> np.ndarray:
        """(B,) bool, which rows have been taken on and have not arrived."""
        return self._moving

    @torch.no_grad()
    def take(self, rows: np.ndarray, action: Tensor, steps: np.ndarray) -> None:
        """Let rows that wait begin their next frames.

        Args:
            rows: long (K,), different rows that do not move.
            action: (K, A) in the task's own units.
            steps: long (K,), the denoising steps of each, at least 1.
        """
        where, state = self._tensor(rows), self.state
        shape = (1, *self.model.latent_shape)  # a row's longer draws begin with this one, and no later noise is used
        self._noised[where] = normal(state.seed[where], state.counter[where], shape)[:, 0]
        self._action[where] = self.model.unit_action(action)
        self._step[rows], self._steps[rows], self._moving[rows] = 0, steps, True

    @torch.no_grad()
    def tick(self) -> tuple[np.ndarray, Outcome | None]:
        """One forward of all rows that move.

        Returns:
            Long (K,), the rows that have arrived with it, and what their steps came to; None if there are none.
        """
        rows = np.flatnonzero(self._moving)
        if not len(rows):
            return rows, None
        where, dream = self._tensor(rows), self._dream
        step, steps = self._step[rows], self._steps[rows]
        level, lower = self._levels(step, steps), self._levels(step + 1, steps)
        noised = self._noised[where]
        making = Making(where, dream.latents[where, -1], noised, self._action[where], level, lower)
        begun = self._tensor(rows[step == 0])
        due = Due(dream.base[begun], dream.latents[begun, -1], dream.action[begun])
        cache = FrameCache(dream.keys, dream.values, dream.cached, dream.position)
        answer = estimate_some(self.model.dynamics, cache, making, begun, due)
        arrived = step + 1 >= steps
        if self.tolerance is not None:
            rests = at_rest(answer, self._answer[where], self.tolerance).cpu().numpy() & (step > 0)
            arrived, lower = arrived | rests, lower.masked_fill(torch.from_numpy(rests).to(lower.device), 0.0)
        noised = euler(noised, answer, level[:, None, None], lower[:, None, None])
        done = rows[arrived]
        arrival = self._arrival(done, noised[self._tensor(np.flatnonzero(arrived))]) if len(done) else None
        # Written last, so that a pass that fails can be made again.
        self._noised[where], self._step[rows] = noised, step + 1
        if self.tolerance is not None:
            self._answer[where] = answer
        self.passes += len(rows)
        return done, None if arrival is None else self._settle(done, arrival)

    def reset_rows(self, rows: np.ndarray) -> Tensor:
        """Begin new episodes in the rows (K,), which do not move; returns the contexts (K,) that they begin from."""
        begun, start = self.core.reset_rows(self.state, self._tensor(rows))
        self.state = self.core.write_rows(self.state, self._tensor(rows), begun, consume=True)
        return start

    def observe(self, rows: np.ndarray, obs: str = "latent") -> Tensor:
        """What a policy sees of the rows (K,), see `DreamCore.observe`."""
        dream = self._dream  # of which only latents are seen
        seen = dream._replace(keys=dream.keys[:0], values=dream.values[:0], latents=dream.latents[self._tensor(rows)])
        return self.core.observe(self.state._replace(dream=seen), obs)

    def _arrival(self, rows: np.ndarray, noised: Tensor) -> tuple[Tensor, Outcome]:
        """The last latents (K, H, N, C) of rows whose frames are made, and what their steps came to."""
        where, dream = self._tensor(rows), self._dream
        after = dream.latents[where, -1] + self.model.dynamics.delta_scale * noised
        latents, reward, termination = self.model.arrive(dream.latents[where], self._action[where], after)
        return latents, self.core.outcome(latents, reward, termination, self.state.elapsed[where] + 1)

    def _settle(self, rows: np.ndarray, arrival: tuple[Tensor, Outcome]) -> Outcome:
        where, dream, state = self._tensor(rows), self._dream, self.state
        latents, outcome = arrival
        dream.base[where], dream.action[where] = dream.latents[where, -1], self._action[where]
        dream.latents[where] = latents
        count_rows(FrameCache(dream.keys, dream.values, dream.cached, dream.position), where)
        state.counter[where] += 1
        state.elapsed[where] += 1
        self._moving[rows] = False
        return outcome

    @property
    def _dream(self) -> LazyState:
        assert isinstance(self.state.dream, LazyState)
        return self.state.dream

    def _tensor(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(rows).to(self.state.seed.device)

    def _levels(self, step: np.ndarray, steps: np.ndarray) -> Tensor:
        if self.tolerance is None:
            levels = 1 - step / steps
        else:
            levels = np.array([halving(*pair) for pair in zip(step.tolist(), steps.tolist(), strict=True)])
        return torch.from_numpy(levels.astype(np.float32)).to(self.state.seed.device)


def check_streams(core: DreamCore, tolerance: float | None) -> WorldModel:
    """The model of a core whose rows can be out of step.

    Raises:
        InputError: the core is of another kind, or the model's steps cannot end early as `tolerance` asks.
    """
    model, dreams = core.model, core.dreams
    if not (isinstance(model, WorldModel) and isinstance(dreams, OwnMemory) and dreams.lazy):
        raise InputError(
            f"model: expected a wmenv.WorldModel in rings that are committed lazily, got {type(model).__name__}; "
            "use DreamVectorEnv"
        )
    if tolerance is None:
        return model
    ranges.check_number("tolerance", tolerance, 1e-9, 1e9)
    if model.config.any_step:
        raise InputError(
            f"tolerance: expected None for an any-step model, which is told where each step ends, got {tolerance}; "
            "give it fewer steps"
        )
    return model
