"""Where a tracker is learned: many robots follow clips from random frames on, stepped as one batch.

Reference-state initialisation and early termination: DeepMimic, arXiv 1804.02717, section 6.

# N rows, T frames, U motors
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..mechanics.control_model import control_model
from ..mechanics.simulator import Simulator
from .computed_torque import ComputedTorque
from .errors import body_errors
from .features import Features
from .reference import Ahead, reference_of, usable

Array = NDArray[np.float64]
LOST = 0.5  # m, mean over bodies: beyond it a row has failed
LEAST_AHEAD = 8  # frames that a row has before it at least when it begins


class PracticeStep(NamedTuple):
    """What one control step of N rows gave."""

    features: Array  # (N, O), of a fresh start where a row ended
    reward: Array  # (N,) in [0, 1], the score of `body_errors`; 0 where a row failed
    failed: NDArray[np.bool_]  # (N,) lost its clip
    ended: NDArray[np.bool_]  # (N,) reached its clip's last frame
    final: Array  # (N, O), before any fresh start


class Practice:
    """N rows, each following one of the clips.

    Args:
        clips: Of one task and one length, all finite.
        rows: N.
        base: Its actions are what the learner's are added to; None: the learner acts alone.
        seed: Of the starts.
        threads: 0 for all cores.
    """

    def __init__(
        self, clips: Sequence[MotionClip], rows: int, *, base: ComputedTorque | None, seed: int = 0, threads: int = 1
    ) -> None:
        self.m = control_model(clips[0].task)
        self._reference = reference_of(
            self.m, np.stack([clip.qpos for clip in clips]), np.stack([clip.qvel for clip in clips])
        )
        assert self._reference.sound.all(), "clips to learn from are finite"
        self.features = Features(self.m)
        self._middle = (self.m.low + self.m.high) / 2
        self._simulator = Simulator(self.m, rows, threads)
        self._base = None if base is None else base.start(self.m, rows, threads)
        self._rows, self._threads = rows, threads
        self._clip, self._frame = np.zeros(rows, np.intp), np.zeros(rows, np.intp)
        self._q, self._v = np.zeros((rows, self.m.model.nq)), np.zeros((rows, self.m.model.nv))
        self._rng = np.random.default_rng(seed)

    def reset(self, seed: int | None = None) -> Array:
        """Starts every row anew; features (N, O)."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._begin(np.ones(self._rows, bool))
        return self._seen()

    def step(self, action: Array) -> PracticeStep:
        """One control step under actions (N, U), which add to those of `base`, less the middle of the range."""
        if self._base is not None:
            action = self._base.act(self._q, self._v, self._ahead()) + (action - self._middle)
        out = self._simulator.rollout(self._q, self._v, np.asarray(action, np.float64)[:, None])
        self._q, self._v, self._frame = out.qpos[:, 0], out.qvel[:, 0], self._frame + 1
        where = self._clip, self._frame
        errors = body_errors(
            self.m, self._q, self._v, self._reference.qpos[where], self._reference.qvel[where], self._threads
        )
        failed = (errors.position > LOST) | out.diverged[:, 0] | ~usable(self._q, self._v)
        ended = ~failed & (self._frame == self._reference.qpos.shape[1] - 1)
        final = self._seen()
        self._begin(failed | ended)
        return PracticeStep(self._seen(), np.where(failed, 0.0, errors.score), failed, ended, final)

    def _begin(self, mask: NDArray[np.bool_]) -> None:
        count, (clips, frames) = int(mask.sum()), self._reference.qpos.shape[:2]
        self._clip[mask] = self._rng.integers(clips, size=count)
        self._frame[mask] = self._rng.integers(max(frames - LEAST_AHEAD, 1), size=count)
        where = self._clip[mask], self._frame[mask]
        self._q[mask], self._v[mask] = self._reference.qpos[where], self._reference.qvel[where]

    def _ahead(self) -> Ahead:
        return self._reference.ahead(self._frame, self.features.horizon, self._clip)

    def _seen(self) -> Array:
        with np.errstate(all="ignore"):
            return np.nan_to_num(self.features(self._q, self._v, self._ahead()))
