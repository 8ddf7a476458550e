"""Fits a world's multipliers to clips by replaying their actions: MuJoCo's own least squares, with a robust loss.

`mujoco.sysid` compiles an MjSpec for each trial value and compares sensors; its parameters are single bodies' inertias
and single actuators' gains, its residuals are not robust, and it needs packages that are not ours. So only its default
solver is used, `mujoco.minimize.least_squares`, on residuals of our own: a clip minus its replay, in units of the usual
noise of that coordinate after that many steps. All finite differences of a step are one batch of simulations.

Unknowns are logarithms of multipliers. Directions that the clips do not determine stay where they started: those whose
standard deviation, by a sandwich covariance clustered by clip (Huber 1967), is not below `LIMIT`.

# P parameters, K trial points, N residuals, B windows, H control steps
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

import numpy as np
from mujoco import minimize
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..errors import TaskError
from ..mechanics.control_model import ControlModel, check_motors, control_model
from ..mechanics.tangent import Tangent
from ..world import LARGEST, SMALLEST_MASS, World
from ..worlds.copies import replay
from .windows import Windows, cut

Array = NDArray[np.float64]
PARAMETERS = ("mass", "friction", "damping", "gear")
REACH = np.log(5.0)  # a multiplier is sought from a fifth to five times its start
LIMIT = 0.2  # standard deviation of a logarithm above which a direction counts as undetermined
HUBER = 1.345  # units of noise; 95% efficient for Gaussian noise (Huber 1964)
FINEST = 5e-3  # noise is taken to be at least this share of a coordinate's spread: a limb at rest shows none
LEVERAGE = 3.0  # times the upper quartile of sensitivity, beyond which a chaotic moment (an impact) is weighed down
STILL = 1e-3  # m, rad and per second: a coordinate that is spread less, such as a goal's velocity, shows only noise
FARTHEST = 50.0  # spreads, and units of noise: where a difference is cut off; that of a diverged replay
STEP = 1e-5  # of finite differences, in a logarithm: small beside the kinks of contacts, large beside rounding (1e-13)
ROUNDS = 3  # of estimating the noise, then the parameters


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Identified:
    """A world fitted to clips, and how far to trust it.

    Args:
        world: The best multipliers; those that the clips do not determine are the start's.
        start: Where the search began.
        std: Standard deviation of each fitted multiplier; infinite where the clips say nothing about it.
        undetermined: Groups of parameters of which some combination stayed at the start: one name alone is a parameter
            without effect on these clips; several are parameters of which only ratios are known.
        error_before: Median replay error of the start: RMS over coordinates and steps, in units of their spread.
        error_after: The same of `world`.
        windows: Stretches that were replayed.
    """

    world: World
    start: World
    std: Mapping[str, float] = field(default_factory=dict)
    undetermined: tuple[tuple[str, ...], ...] = ()
    error_before: float
    error_after: float
    windows: int


class _Huber(minimize.Norm):
    """The robust loss; its Hessian is the one of iteratively reweighted least squares, never negative."""

    def value(self, r: Array) -> np.float64:
        size = np.abs(r)
        return np.float64(np.where(size < HUBER, r * r / 2, HUBER * (size - HUBER / 2)).sum())

    def grad_hess(self, r: Array, proj: Array) -> tuple[Array, Array]:
        weight = np.minimum(1.0, HUBER / np.maximum(np.abs(r), HUBER))
        return proj.T @ (weight * r), proj.T @ (weight * proj)


class _Problem:
    """Residuals of trial worlds."""

    def __init__(self, m: ControlModel, windows: Windows, names: tuple[str, ...], start: World, threads: int) -> None:
        self.m, self.windows, self.names, self.start, self.threads = m, windows, names, start, threads
        self._tangent = Tangent(m.model)
        self.moving = windows.spread > STILL
        self.weight = np.ones((*windows.action.shape[:2], int(self.moving.sum())))  # (B, H, moving), per unit of spread

    def world(self, point: Array) -> World:
        """The world at (P,) logarithms."""
        base = asdict(self.start)
        values = {n: base[n] * float(np.exp(x)) for n, x in zip(self.names, point, strict=True)}
        return replace(self.start, **{n: min(max(x, min(base[n], SMALLEST_MASS)), LARGEST) for n, x in values.items()})

    def difference(self, points: Array) -> Array:
        """Clip minus replay of (P, K) points, in units of spread: (K, B, H, moving coordinates)."""
        w = self.windows
        out = replay(self.m, [self.world(x) for x in points.T], w.qpos, w.qvel, w.action, self.threads)
        apart = np.concatenate((self._tangent.difference(out.qpos, w.next_qpos), w.next_qvel - out.qvel), axis=-1)
        apart = apart[..., self.moving] / w.spread[self.moving]
        apart[out.diverged] = FARTHEST
        return np.clip(apart, -FARTHEST, FARTHEST)

    def residual(self, points: Array) -> Array:
        """(N, K) for (P, K) points."""
        scaled = self.difference(points) * self.weight
        return np.clip(scaled, -FARTHEST, FARTHEST).reshape(points.shape[1], -1).T

    def jacobian(self, point: Array) -> tuple[Array, Array]:
        """Residual (N,) and its derivative (N, P) at `point`; central, so that a scale without effect shows none."""
        offsets = STEP * np.eye(len(point))
        r = self.residual(point[:, None] + np.concatenate((0 * point[:, None], offsets, -offsets), axis=1))
        return r[:, 0], (r[:, 1 : len(point) + 1] - r[:, len(point) + 1 :]) / (2 * STEP)

    def weigh(self, point: Array) -> None:
        """Takes the usual difference at `point`, by coordinate and step, for noise; caps the weight of wild moments."""
        usual = 1.4826 * np.median(np.abs(self.difference(point[:, None])[0]), axis=0)
        self.weight[:] = 1 / np.maximum(usual, FINEST)
        sensitivity = np.linalg.norm(self.jacobian(point)[1].reshape(*self.weight.shape[:2], -1), axis=2)
        cap = LEVERAGE * np.quantile(sensitivity, 0.75)
        self.weight *= (cap / np.maximum(sensitivity, max(cap, 1e-12)))[..., None]

    def error(self, point: Array) -> float:
        """Median over windows of the RMS difference in units of spread."""
        return float(np.median(np.sqrt(np.mean(np.square(self.difference(point[:, None])[0]), axis=(1, 2)))))


class _Information(NamedTuple):
    directions: Array  # (P, P) orthogonal unit columns
    std: Array  # (P,) standard deviation along each


def identify(
    clips: Sequence[MotionClip],
    task: str,
    parameters: Sequence[str] = PARAMETERS,
    start: World | None = None,
    *,
    steps: int = 8,
    threads: int = 0,
) -> Identified:
    """Finds the multipliers under which replays of the clips' actions follow the clips best.

    What no clip shows cannot be found. Friction needs sliding contact: Reacher and InvertedPendulum have no contact.
    Mass, damping and gear together scale all forces of a robot without armature, joint springs and friction losses, and
    neither gravity nor contact tells (both scale with mass): of InvertedPendulum only their ratios are known. Reacher's
    links weigh next to nothing beside its motors' armature, so its mass hardly shows.

    Args:
        clips: Real clips of `task` with actions.
        task: Id of the task.
        parameters: Names of the multipliers to fit; the others stay at the start's.
        start: Where to begin; None: the nominal world. A multiplier of 0 stays 0.
        steps: Control steps of a replayed stretch, H.
        threads: 0 for all cores. The result does not depend on it.

    Returns:
        The world, its standard deviations and the replay errors before and after.

    Raises:
        TaskError: There is no such task or parameter.
        ClipError: A clip is of another task, without actions, or too short; or the motors have a state of their own.

    Example:
        >>> from physics import record_clips
        >>> clips = record_clips("wmenv/HalfCheetah-v0", 8, frames=9, world=World(damping=2))
        >>> found = identify(clips, "wmenv/HalfCheetah-v0", ["damping"], threads=1)
        >>> round(found.world.damping, 2)
        2.0
    """
    unknown = [name for name in parameters if name not in PARAMETERS]
    if unknown or not parameters or len(set(parameters)) < len(parameters):
        raise TaskError(f"parameters: expected some of {PARAMETERS}, each once, got {tuple(parameters)}")
    if not (isinstance(steps, (int, np.integer)) and steps >= 1):
        raise TaskError(f"steps: expected a whole number of at least 1, got {steps!r}")
    m, names, start = control_model(task), tuple(parameters), World() if start is None else start
    check_motors(m)
    problem = _Problem(m, cut(clips, m, int(steps)), names, start, threads)
    point = np.zeros(len(names))
    before = problem.error(point)
    for _ in range(ROUNDS):
        problem.weigh(point)
        found = _inform(problem, point)
        point = _solve(problem, point, found.directions[:, found.std < LIMIT])
    problem.weigh(point)
    found = _inform(problem, point)
    world = problem.world(point)
    return Identified(
        world=world,
        start=start,
        std=_deviations(names, found, world),
        undetermined=_groups(names, found),
        error_before=before,
        error_after=problem.error(point),
        windows=len(problem.windows.clip),
    )


def _solve(problem: _Problem, point: Array, basis: Array) -> Array:
    """The best point in the span of `basis` (P, D) around the start; the part of `point` outside it is dropped."""
    if not basis.shape[1]:
        return np.zeros_like(point)
    bound = np.full(basis.shape[1], REACH)
    found, _ = minimize.least_squares(
        basis.T @ point,
        lambda z: problem.residual(basis @ z),
        bounds=[-bound, bound],
        norm=_Huber(),
        eps=STEP,
        mu_factor=4.0,  # at the end no step is better, which a smaller factor would find out in 140 trials
        xtol=3e-4,
        max_iter=12,
        verbose=minimize.Verbosity.SILENT,
    )
    return basis @ found


def _inform(problem: _Problem, point: Array) -> _Information:
    """What the clips say about each direction at `point`.

    A parameter that has next to no effect by itself is a direction of its own; the others' are the eigenvectors of
    their information. The variance along one is the larger of the usual 1 / information and the sandwich, in which the
    scores are summed by clip, because the errors within a clip go together.
    """
    r, jacobian = problem.jacobian(point)
    weight = np.minimum(1.0, HUBER / np.maximum(np.abs(r), HUBER))[:, None]
    information = jacobian.T @ (weight * jacobian)
    shown = np.flatnonzero(np.diag(information) > 1 / LIMIT**2)
    directions = np.eye(len(point))
    directions[np.ix_(shown, shown)] = np.linalg.eigh(information[np.ix_(shown, shown)])[1]
    values = np.einsum("ia,ij,ja->a", directions, information, directions)
    values = np.where(values > 1e-9 * max(values.max(), 1.0), values, 0.0)
    score = ((weight * jacobian) * r[:, None]).reshape(len(problem.windows.clip), -1, len(point)).sum(1)
    by_clip = np.zeros((problem.windows.clip.max() + 1, len(point)))
    np.add.at(by_clip, problem.windows.clip, score @ directions)
    spread = np.square(by_clip).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(values > 0, np.maximum(1 / values, spread / np.square(values)), np.inf)
    return _Information(directions, np.sqrt(variance))


def _deviations(names: tuple[str, ...], found: _Information, world: World) -> dict[str, float]:
    share = np.square(found.directions)
    variance = np.where(share > 1e-6, share * np.square(np.minimum(found.std, 1e100)), 0.0).sum(1)
    std = np.where(variance > 1e20, np.inf, np.sqrt(variance))
    return {name: float(std[i]) * getattr(world, name) for i, name in enumerate(names)}


def _groups(names: tuple[str, ...], found: _Information) -> tuple[tuple[str, ...], ...]:
    """The parameters that make up each undetermined direction."""
    weak = found.directions[:, found.std >= LIMIT].T
    return tuple(tuple(n for n, x in zip(names, vector, strict=True) if abs(x) > 0.25) for vector in weak)
