"""The verifier at the pace of a dream: one control step of each row, replayed by the simulator.

A dream environment asks after every step, so this is one simulated step a row and nothing else: the signals of
`MotionVerifier` would take several times as long as the dream. It sees whatever is impossible within a step. What is
impossible only in the long run, such as slightly too little gravity, needs clips.

The score is the coordinate that is farthest from where the simulator goes, each in units of its own 95th percentile on
real steps. A mean over coordinates in units of their spread, as `replay_1` is for clips, was tried: of states that
follow on nothing it found 2 of 100 ten times as bad as real on the pendulum, 0 on CupLift and 26 on Humanoid, where
this finds 78, 75 and 97, since one coordinate that contacts throw about drowns all others.

# B rows, S numbers of a state, A of an action, V degrees of freedom
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clips.batch import LARGEST
from ..clips.clip import MotionClip
from ..clips.noise import add_noise, spread_of
from ..clips.real import record_clips
from ..clips.state_motion import Motion, StateMotion, wrapped
from ..errors import ClipError
from ..mechanics.control_model import check_motors, control_model
from ..mechanics.simulator import Simulator
from ..mechanics.tangent import Tangent
from ..tasks.registry import cached_by_spec
from .calibration import CAP, LEAST_ERROR

Array = NDArray[np.float64]
CLIPS, FRAMES, SEED = 64, 32, 20_262  # what real steps are like


class DreamVerifier:
    """Judges dreamed steps of one task by its states; what `wmenv`'s dream environments take as `verifier=`.

    Real steps are recorded when it is made, which takes up to some seconds. States only: a picture does not tell
    velocities, and reading one for each of 64 dreams takes longer than dreaming them (`FrameVerifier` judges films).

    Args:
        task: Id of the task.
        noise: Size of the errors that dreamed states are expected to have, in units of the spread of real states.

    Raises:
        TaskError: There is no such task.
        ClipError: `noise` is out of range, or the motors have a state of their own.

    Example:
        >>> verifier = DreamVerifier("wmenv/InvertedPendulum-v0")
        >>> rest, idle, pushed = np.zeros((1, 4)), np.zeros((1, 1)), [[0.8, 0.0, 0.0, 0.0]]
        >>> bool(verifier.score(rest, idle, rest) < 1 and verifier.score(rest, idle, pushed) > 10)
        True
    """

    modality = "state"

    def __init__(self, task: str, *, noise: float = 0.02) -> None:
        if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise <= 1:
            raise ClipError(f"noise: expected a number from 0 to 1, in spreads of real states, got {noise!r}")
        check_motors(control_model(task))
        self.task, self._motion, self._step = task, StateMotion(task), _Step(task)
        self._turns = np.flatnonzero(self._motion.turns)
        seen = np.concatenate((self._motion.seen_qpos, self._motion.seen_qvel))
        self._units = np.where(seen, _units(task, float(noise)), np.inf)  # what a state leaves out counts nothing

    def score(self, before: Any, action: Any, after: Any) -> Array:
        """How far each step is from what the simulator does; each row by itself, whatever stands beside it.

        Args:
            before: (B, S) states, SI, as the task's environment shows them.
            action: (B, A) actions taken in them, in the task's own units.
            after: (B, S) states that they led to.

        Returns:
            (B,) in [0, 1e4]: about 95 of 100 real steps with errors of the size `noise` are below 1. What is not
            finite or absurdly large, or makes the simulation diverge, has 1e4.

        Raises:
            ClipError: An array is not of this task's size.
        """
        before, action, after = (np.asarray(value, np.float64) for value in (before, action, after))
        states, actions = (len(before), len(self._motion.names)), (len(before), self._step.num_actions)
        if (before.shape, action.shape, after.shape) != (states, actions, states) or not len(before):
            raise ClipError(
                f"step: expected states (B, {states[1]}) and (B, {states[1]}) and actions (B, {actions[1]}) for "
                f"{self.task}, got {before.shape}, {after.shape} and {action.shape}"
            )
        with np.errstate(invalid="ignore"):
            sound = np.all([(np.abs(value) <= LARGEST).all(-1) for value in (before, action, after)], axis=0)
        was, push, now = (np.where(sound[:, None], value, 0.0) for value in (before, action, after))
        apart, diverged = self._step.apart(self._motion.read(was), push, self._motion.read(now))
        apart[:, self._turns] = wrapped(apart[:, self._turns])
        worst = np.max(np.abs(apart) / self._units, axis=-1)
        return np.where(sound & ~diverged, np.minimum(worst, CAP), CAP)


class _Step:
    """One control step of a task's robot, many at once."""

    def __init__(self, task: str) -> None:
        self._m = control_model(task)
        self._tangent = Tangent(self._m.model)
        self._simulator: Simulator | None = None
        self.num_actions = len(self._m.low)

    def apart(self, before: Motion, action: Array, after: Motion) -> tuple[Array, NDArray[np.bool_]]:
        """From where the simulator goes to `after` (B, 2 V), positions first, and where it diverges (B,)."""
        rows = len(action)
        if self._simulator is None or self._simulator.rows != rows:
            self._simulator = Simulator(self._m, rows)
        went = self._simulator.rollout(before.qpos, before.qvel, action[:, None])
        moved = self._tangent.difference(went.qpos[:, 0], after.qpos)
        return np.concatenate((moved, after.qvel - went.qvel[:, 0]), axis=-1), went.diverged[:, 0]


@cached_by_spec
def _units(task: str, noise: float) -> Array:
    """How far real steps with errors are from the simulator's, by coordinate (2 V): 95 of 100 are nearer in all."""
    clips = record_clips(task, CLIPS, FRAMES, seed=SEED)
    spread = spread_of(clips)
    before, action, after = _steps(add_noise(clips, noise, spread, SEED))
    apart, diverged = _Step(task).apart(before, action, after)
    each = np.abs(apart[~diverged])
    units = np.maximum(np.quantile(each, 0.95, axis=0), LEAST_ERROR * np.concatenate(spread))
    return units * max(1.0, float(np.quantile(np.max(each / units, axis=-1), 0.95)))


def _steps(clips: list[MotionClip]) -> tuple[Motion, Array, Motion]:
    """Every step of the clips: motions before, actions, motions after."""
    before = Motion(*(np.concatenate([getattr(clip, name)[:-1] for clip in clips]) for name in Motion._fields))
    after = Motion(*(np.concatenate([getattr(clip, name)[1:] for clip in clips]) for name in Motion._fields))
    return before, np.concatenate([np.asarray(clip.action) for clip in clips]), after
