"""Follows clips in the simulator, closed loop and within the motors' limits, many clips at once.

# B clips, T frames
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..errors import ClipError
from ..mechanics.control_model import ControlModel, control_model
from ..mechanics.simulator import Simulator
from ..world import World
from .computed_torque import ComputedTorque
from .errors import BodyErrors, body_errors
from .reference import LARGEST, Ahead, Reference, reference_of, usable

Array = NDArray[np.float64]
CHUNK = 256  # clips followed at once, so that memory stays bounded
NEAR, FAR = 0.25, 0.5  # m, mean over bodies: PHC (arXiv 2305.06456) and BeyondMimic; PHC's evaluation and RLPF


class Controller(Protocol):
    """A tracker at work on B clips; it may remember what it did."""

    def act(self, qpos: Array, qvel: Array, ahead: Ahead) -> Array:
        """Actions (B, nu) from states (B, nq), (B, nv) and the frames ahead."""
        ...


class Tracker(Protocol):
    """What `track_clips` accepts: anything that starts controllers and says how many frames ahead they read."""

    @property
    def horizon(self) -> int:
        """H, at least 1."""
        ...

    def start(self, m: ControlModel, rows: int, threads: int = 0) -> Controller:
        """A controller for `rows` clips of `m`."""
        ...


class Tracks(NamedTuple):
    """B clips of one length, followed."""

    qpos: Array  # (B, T, nq)
    qvel: Array  # (B, T, nv)
    action: Array  # (B, T - 1, nu)
    errors: BodyErrors  # (B, T) each
    diverged: NDArray[np.bool_]  # (B, T), True from the first state that went wrong


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackResult:
    """One clip, followed from its first state.

    An error is at most `LARGEST` (1e6), and so large where the clip holds no number or the simulation diverged; `score`
    is 0 there.

    Attributes:
        qpos: (T, nq) what the simulator did, m, rad, quaternions wxyz.
        qvel: (T, nv) m/s, rad/s.
        action: (T - 1, nu) the tracker's own actions, inside the task's limits.
        position_error: (T,) m, mean over the bodies that can move.
        worst_body_error: (T,) m, of the body that is farthest off.
        orientation_error: (T,) rad, mean over bodies.
        linear_velocity_error: (T,) m/s, mean over bodies.
        angular_velocity_error: (T,) rad/s, mean over bodies.
        score: (T,) in [0, 1], 1 is perfect.
        failed_at_025: First frame at which `position_error` is beyond 0.25 m, or None.
        failed_at_05: The same for 0.5 m.
        diverged_at: First frame at which the simulation had gone wrong, or None.
    """

    qpos: Array
    qvel: Array
    action: Array
    position_error: Array
    worst_body_error: Array
    orientation_error: Array
    linear_velocity_error: Array
    angular_velocity_error: Array
    score: Array
    failed_at_025: int | None
    failed_at_05: int | None
    diverged_at: int | None


def track_clips(
    clips: Sequence[MotionClip],
    tracker: Tracker | None = None,
    *,
    world: World | dict[str, float] | None = None,
    threads: int = 0,
) -> list[TrackResult]:
    """Follows every clip from its first state; a clip's result does not depend on the other clips.

    Args:
        clips: Of any tasks and lengths. Numbers that are not finite are a failure, not an error.
        tracker: Default `ComputedTorque()`.
        world: The world in which they are followed; None: the nominal one.
        threads: 0 for all cores.

    Raises:
        ClipError: A clip's sizes are not those of its task.
        TaskError: There is no such task, or the world is not what was expected.

    Example:
        >>> from physics import record_clips
        >>> results = track_clips(record_clips("wmenv/InvertedPendulum-v0", 2, 8))
        >>> results[0].qpos.shape, results[0].failed_at_05
        ((8, 2), None)
    """
    tracker = ComputedTorque() if tracker is None else tracker
    groups: dict[tuple[str, int, bool], list[int]] = {}
    for i, clip in enumerate(clips):
        groups.setdefault((clip.task, clip.frames, clip.action is None), []).append(i)
    results: dict[int, TrackResult] = {}
    for (task, _, blind), members in groups.items():
        m = control_model(task, world)
        for k in range(0, len(members), CHUNK):
            chosen = members[k : k + CHUNK]
            qpos, qvel, action = _stacked(m, [clips[i] for i in chosen])
            tracks = track_states(m, qpos, qvel, tracker, action=None if blind else action, threads=threads)
            results |= {i: _result(tracks, b) for b, i in enumerate(chosen)}
    return [results[i] for i in range(len(clips))]


def track_states(
    m: ControlModel, qpos: Array, qvel: Array, tracker: Tracker, *, action: Array | None = None, threads: int = 0
) -> Tracks:
    """Follows states (B, T, nq), (B, T, nv) from the first; `action` (B, T - 1, nu) is passed on to the tracker."""
    reference = reference_of(m, qpos, qvel, action)
    states_q, states_v, actions, lost = _follow(m, reference, tracker, threads)
    errors = body_errors(m, states_q, states_v, reference.qpos, reference.qvel, threads)
    return Tracks(states_q, states_v, actions, _spoiled(errors, ~reference.sound | lost), lost)


def _follow(
    m: ControlModel, reference: Reference, tracker: Tracker, threads: int
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    rows, frames = reference.qpos.shape[:2]
    simulator = Simulator(m, rows, threads)
    controller = tracker.start(m, rows, threads)
    q, v = reference.qpos[:, 0], reference.qvel[:, 0]
    qs, vs = [q], [v]
    actions: list[Array] = []
    lost = [np.zeros(rows, np.bool_)]
    for t in range(frames - 1):
        action = np.clip(controller.act(q, v, reference.ahead(t, tracker.horizon)), m.low, m.high)
        out = simulator.rollout(q, v, action[:, None])
        gone = lost[-1] | out.diverged[:, 0] | ~usable(out.qpos[:, 0], out.qvel[:, 0])
        # a row that went wrong stays where it was: the others go on, and its own errors are set below
        q, v = (np.where(gone[:, None], old, new[:, 0]) for old, new in ((q, out.qpos), (v, out.qvel)))
        qs.append(q)
        vs.append(v)
        actions.append(action)
        lost.append(gone)
    return np.stack(qs, 1), np.stack(vs, 1), np.stack(actions, 1), np.stack(lost, 1)


def _spoiled(errors: BodyErrors, bad: NDArray[np.bool_]) -> BodyErrors:
    worst = {name: np.where(bad, LARGEST, getattr(errors, name)) for name in BodyErrors._fields}
    return BodyErrors(**worst | {"score": np.where(bad, 0.0, errors.score)})


def _stacked(m: ControlModel, clips: list[MotionClip]) -> tuple[Array, Array, Array | None]:
    for clip in clips:
        for name, width in (("qpos", m.model.nq), ("qvel", m.model.nv), ("action", len(m.low))):
            array = getattr(clip, name)
            if array is not None and array.shape[1] != width:
                raise ClipError(f"{name}: expected {width} coordinates, as {m.task} has, got {array.shape[1]}")
    actions = [clip.action for clip in clips if clip.action is not None]
    action = np.stack(actions) if len(actions) == len(clips) else None
    return np.stack([clip.qpos for clip in clips]), np.stack([clip.qvel for clip in clips]), action


def _result(tracks: Tracks, b: int) -> TrackResult:
    position, worst, orientation, linear, angular, score = (each[b] for each in tracks.errors)
    return TrackResult(
        qpos=tracks.qpos[b],
        qvel=tracks.qvel[b],
        action=tracks.action[b],
        position_error=position,
        worst_body_error=worst,
        orientation_error=orientation,
        linear_velocity_error=linear,
        angular_velocity_error=angular,
        score=score,
        failed_at_025=_first(position > NEAR),
        failed_at_05=_first(position > FAR),
        diverged_at=_first(tracks.diverged[b]),
    )


def _first(mask: NDArray[np.bool_]) -> int | None:
    return int(np.argmax(mask)) if mask.any() else None
