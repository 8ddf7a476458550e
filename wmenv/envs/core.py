"""The dream as a function: rows of (model state, seed, counter, elapsed) go in, the next rows come out.

All three faces (DreamEnv, DreamVectorEnv, DreamVecEnv) step this one core, so they cannot disagree. A row depends on
nothing but itself. Its randomness is Philox(seed, counter): `counter` counts the row's draws (one for each step, one
for each reset) since it was seeded and is not set back by a reset, so that every episode of a row is another one.

# B envs, K rows reset, S denoising steps, N tokens, C channels, A action size
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..random import integers, normal
from ..types import LIKELY_END, State
from .dreams import Dreams
from .invariant import map_rows, run_in_chunks
from .model import DreamModel


class CoreState(NamedTuple):
    """Everything that the next step of each row needs, its random numbers included."""

    dream: State
    seed: Tensor  # (B,) long
    counter: Tensor  # (B,) long, draws since seeding
    elapsed: Tensor  # (B,) long, steps of this episode


class CoreReset(NamedTuple):
    """The rows that begin anew, still to be written into the state."""

    begun: CoreState  # K rows, by themselves
    start: Tensor  # (K,) long, the recorded contexts that they begin from


class Outcome(NamedTuple):
    """What one step tells of each row, on the host: all of it leaves the device in one transfer."""

    reward: np.ndarray  # (B,) float32, 0 where diverged
    terminated: np.ndarray  # (B,) bool
    truncated: np.ndarray  # (B,) bool; like Gymnasium's TimeLimit it may be True together with `terminated`
    diverged: np.ndarray  # (B,) bool; the model gave a number that is not finite: the row is truncated


class CoreStep(NamedTuple):
    """What one step of the core returns."""

    state: CoreState
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class DreamCore:
    """Pure functions over `CoreState`.

    Args:
        model: what dreams.
        dreams: how its rows are kept and stepped.
        starts: (K,) long, the recorded contexts that episodes begin from; on the model's device.
        horizon: steps after which an episode is truncated.
        steps: S, denoising steps of each dreamed frame.
        batch_invariant: decode in chunks of one size, so that a row's floats do not depend on the batch.
    """

    model: DreamModel
    dreams: Dreams
    starts: Tensor
    horizon: int
    steps: int
    batch_invariant: bool = False

    def begin(
        self,
        seed: Tensor,
        counter: Tensor,
        start: Tensor | None = None,
        *,
        instead: tuple[CoreState, Tensor] | None = None,
    ) -> tuple[CoreState, Tensor]:
        """New episodes in every row.

        Args:
            seed: long (B,).
            counter: long (B,), draws since seeding; 0 in a row that has just been seeded.
            start: long (B,), the recorded contexts to begin from; by default each row draws its own.
            instead: the state and which of its rows (B,) these replace; by default all of them.

        Returns:
            The rows, and the contexts (B,) that the episodes begin from.
        """
        start = self.draw_starts(seed, counter) if start is None else start
        with torch.no_grad():
            place = None if instead is None else (instead[0].dream, instead[1])
            dream = self.dreams.start(start, seed, instead=place)
        return CoreState(dream, seed, counter + 1, torch.zeros_like(counter)), start

    def draw_starts(self, seed: Tensor, counter: Tensor) -> Tensor:
        """The recorded context (B,) that each row draws."""
        return self.starts[integers(seed, counter, len(self.starts))]

    def reset_rows(self, state: CoreState, index: Tensor, start: Tensor | None = None) -> CoreReset:
        """New episodes for the rows `index` (K,), by themselves: `write_rows` puts them in.

        Args:
            state: B rows; left as they are.
            index: long (K,), which of them begin anew.
            start: long (K,), the recorded contexts to begin from; by default each row draws its own.
        """
        return CoreReset(*self.begin(state.seed[index], state.counter[index], start, instead=(state, index)))

    def write_rows(self, state: CoreState, index: Tensor, rows: CoreState, *, consume: bool = False) -> CoreState:
        """`state` with `rows` in its rows `index` (K,); all others stay bit for bit as they are.

        With `consume` its own tensors are written; it must then not be used again.
        """
        return write_rows(state, index, rows, consume=consume)

    def step(self, state: CoreState, action: Tensor, *, consume: bool = False) -> CoreStep:
        """One dreamed step of every row. Resets nothing.

        Args:
            state: B rows; left as they are, unless they are consumed.
            action: (B, A) float32, finite and within the action box.
            consume: let the model write into `state`'s tensors if it can; `state` must then not be stepped again.
        """
        c = self.model.config
        draws = 1 if getattr(self.model, "draws_once", False) else self.steps
        noise = normal(state.seed, state.counter, (draws, c.num_tokens, c.token_dim))
        noise = noise.expand(-1, self.steps, -1, -1)  # more draws would begin with this one
        with torch.no_grad():
            out = self.dreams.step(state.dream, action, noise, state.seed, consume=consume)
        after = CoreState(out.state, state.seed, state.counter + 1, state.elapsed + 1)
        return CoreStep(after, self.outcome(out.state.latents, out.reward, out.termination, after.elapsed))

    def outcome(self, latents: Tensor, reward: Tensor, termination: Tensor, elapsed: Tensor) -> Outcome:
        """What a step came to, of its latents (B, H, N, C), the heads' answers (B,) and the steps so far (B,)."""
        # One sum is finite only if all its terms are; latents, rewards and probabilities are far from overflowing.
        total = latents.flatten(1).sum(1) + reward + termination
        told = torch.stack((reward, termination, total, (elapsed >= self.horizon).float()))
        rewards, ends, totals, late = told.cpu().numpy()
        finite = np.isfinite(totals)
        return Outcome(
            reward=np.where(finite, rewards, 0.0),
            terminated=(ends > LIKELY_END) & finite,
            truncated=(late > 0) | ~finite,
            diverged=~finite,
        )

    def keep(self, state: CoreState) -> CoreState:
        """A copy of `state` that shares no memory with it, and that only `restore` reads."""
        return CoreState(self.dreams.keep(state.dream), *(field.clone() for field in state[1:]))

    def restore(self, kept: CoreState) -> CoreState:
        """The state that `keep` copied, of this core or of one like it; takes the place of all rows."""
        rest = (field.to(self.starts.device, copy=True) for field in kept[1:])
        return CoreState(self.dreams.restore(kept.dream), *rest)

    def observe(self, state: CoreState, obs: str = "latent") -> Tensor:
        """What a policy sees of each row: latents (B, O), or the decoded frame or state for another `obs`."""
        with torch.no_grad():
            if obs == "latent":
                return self.model.latent_observation(state.dream)
            if self.batch_invariant:
                return run_in_chunks(self.model.decode, state.seed, state.dream)
            return self.model.decode(state.dream)


def gather(state: CoreState, index: Tensor) -> CoreState:
    """The rows `index` (K,) of `state`, as a new state of K rows."""
    return map_rows(lambda field: field[index], state)


def clone(state: CoreState) -> CoreState:
    """A copy that shares no memory with `state`."""
    return map_rows(torch.clone, state)


def write_rows(state: CoreState, index: Tensor, rows: CoreState, *, consume: bool = False) -> CoreState:
    """`state` with the K rows `rows` at `index` (K,); with `consume` its own tensors are written."""
    state = state if consume else clone(state)
    for field, row in zip((*state.dream, *state[1:]), (*rows.dream, *rows[1:]), strict=True):
        field[index] = row
    return state


def fork_row(state: CoreState, source: int, targets: Tensor, seed: Tensor | None, *, keep_seed: bool) -> CoreState:
    """`state` with the row `source` copied to the rows `targets` (K,).

    Args:
        state: B rows.
        source: the row that is copied.
        targets: long (K,), the rows that are overwritten.
        seed: long (K,), new seeds of the copies, whose counters then begin at 0.
        keep_seed: without new seeds, whether a copy keeps the seed and counter of the row that it overwrites; if not,
            it shares the source's.
    """
    copies = gather(state, torch.full_like(targets, source))
    if seed is not None:
        copies = copies._replace(seed=seed, counter=torch.zeros_like(seed))
    elif keep_seed:
        copies = copies._replace(seed=state.seed[targets], counter=state.counter[targets])
    return write_rows(state, targets, copies)
