"""V: the worlds in which the verifier replays a clip, so that a frame is penalised only where most of them agree.

# K worlds, B clips, H control steps
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import TaskError
from ..mechanics.control_model import ControlModel
from ..mechanics.simulator import Rollout, Simulator
from ..world import LARGEST, SMALLEST_MASS, World

Array = NDArray[np.float64]
CHUNK = 4096  # rows of one batch, so that its recording stays below some 100 MB


def ensemble(num: int = 8, spread: float = 0.15, seed: int = 0, centre: World | None = None) -> tuple[World, ...]:
    """Domain-randomised copies of a world.

    The logarithm of each multiplier is uniform within `spread` of the centre's, in a Latin hypercube: each parameter
    takes one value out of each of num - 1 equal strata, so that a few worlds cover the range evenly.

    Args:
        num: K, at least 1.
        spread: Largest deviation of a multiplier's logarithm, in [0, 1]: 0.15 is from 14% below to 16% above.
        seed: The same seed gives the same worlds.
        centre: Where the worlds lie around; None: the nominal one.

    Returns:
        K worlds, the centre first.

    Raises:
        TaskError: `num` or `spread` is out of range.

    Example:
        >>> ensemble(3)[0].nominal, len(set(ensemble(3)))
        (True, 3)
    """
    if not (isinstance(num, (int, np.integer)) and num >= 1):
        raise TaskError(f"num: expected a whole number of at least 1, got {num!r}")
    if not 0 <= spread <= 1:
        raise TaskError(f"spread: expected a number in [0, 1], got {spread!r}")
    centre = World() if centre is None else centre
    rng = np.random.default_rng([seed, 0x776F726C])
    names, middle = tuple(asdict(centre)), np.array(tuple(asdict(centre).values()))
    others = num - 1
    strata = rng.permuted(np.tile(np.arange(others), (len(names), 1)), axis=1)
    place = (strata + rng.uniform(size=strata.shape)) / max(others, 1) * 2 - 1
    values = np.clip(middle * np.exp(spread * place.T), 0.0, LARGEST)
    values[:, names.index("mass")] = np.maximum(values[:, names.index("mass")], SMALLEST_MASS)
    return (centre, *(World(**dict(zip(names, map(float, row), strict=True))) for row in values))


def replay(
    m: ControlModel, worlds: Sequence[World], qpos: Array, qvel: Array, action: Array, threads: int = 0
) -> Rollout:
    """Replays every clip's actions in every world, many at once.

    Args:
        m: The nominal control model, whose constants the worlds multiply.
        worlds: K.
        qpos: (B, nq) starts, finite; m, rad.
        qvel: (B, nv) m/s, rad/s.
        action: (B, H, nu) in the task's own units.
        threads: 0 for all cores. The result does not depend on it.

    Returns:
        A Rollout whose arrays begin with (K, B).
    """
    clips, rows = len(qpos), len(worlds) * len(qpos)
    parts = []
    for first in range(0, rows, CHUNK):
        row = np.arange(first, min(first + CHUNK, rows))
        world, clip = np.divmod(row, clips)
        simulator = Simulator(m, len(row), threads, worlds=[worlds[k] for k in world])
        parts.append(simulator.rollout(qpos[clip], qvel[clip], action[clip]))
    joined = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Rollout(*(array.reshape(len(worlds), clips, *array.shape[1:]) for array in joined))


class Consensus(NamedTuple):
    """What K worlds say together about the same quantity."""

    score: Array  # (...) above 1 exactly where more than half of the worlds are
    agreement: Array  # (...) share of the worlds above 1
    spread: Array  # (...) standard deviation over the worlds, the verdict's uncertainty


def consensus(scores: Array) -> Consensus:
    """Joins the calibrated scores of K worlds: the median, the lower one of two.

    Args:
        scores: (K, ...) calibrated, 1 is as good as real; finite.
    """
    scores = np.asarray(scores, np.float64)
    middle = (len(scores) - 1) // 2
    return Consensus(np.partition(scores, middle, axis=0)[middle], (scores > 1).mean(axis=0), scores.std(axis=0))
