"""What a verifier says of dreamed steps, and what the environments make of it.

The verifier is handed in (`physics.DreamVerifier` is one), so that dreams need no simulator. It is asked about single
transitions, never about what lies between two episodes, and sees what the model shows: states or frames.

# N envs
"""

from __future__ import annotations

from numbers import Real
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .core import CoreState, DreamCore

Array = NDArray[Any]
TRUNCATE_ABOVE = 10.0
"""Ten times what 95 of 100 real steps stay below: farther than real steps go, even where feet strike the floor."""


class Verifier(Protocol):
    """Says how far a step is from what is possible.

    Attributes:
        task: id of the task that it knows.
        modality: "state" or "frames", what it looks at.
    """

    task: str
    modality: str

    def score(self, before: Array, action: Array, after: Array) -> Array:
        """How far each row's step is from what is possible, by the row alone.

        Args:
            before: (N, ...) what the model decoded before the step: states in SI units, or uint8 frames.
            action: (N, A) float32 in the task's own units, within its box.
            after: (N, ...) what it decoded after it.

        Returns:
            (N,) numbers, higher is worse; 1 is as good as real.
        """
        ...


class Judge:
    """A verifier at work in an environment: what it says is checked before it counts.

    Args:
        verifier: what says how far steps are from what is possible.
        truncate_above: scores beyond which a step is impossible; None: none is.
        core: steps the dreams that are judged.

    Raises:
        InputError: if the verifier knows another task or looks at something else, or the bound is no positive number.
    """

    def __init__(self, verifier: Verifier, truncate_above: float | None, core: DreamCore) -> None:
        config = core.model.config
        for name, want in (("task", config.task), ("modality", config.modality)):
            got = getattr(verifier, name, None)
            if got != want:
                raise InputError(f"verifier: expected one with {name} {want!r}, as the model has, got {got!r}")
        if not callable(getattr(verifier, "score", None)):
            raise InputError(f"verifier: expected a method score(before, action, after), got {type(verifier).__name__}")
        number = isinstance(truncate_above, Real) and not isinstance(truncate_above, bool) and truncate_above > 0
        if truncate_above is not None and not number:
            raise InputError(f"truncate_above: expected a positive number or None, got {truncate_above!r}")
        self.core, self.verifier = core, verifier
        self.bound = np.inf if truncate_above is None else float(truncate_above)

    def look(self, state: CoreState) -> Array:
        """What the verifier sees of each row (N, ...), as an array of its own: states as they come, or frames."""
        return np.array(self.core.observe(state, self.core.model.config.modality).cpu().numpy())

    def score(self, before: Array, action: Array, after: Array, diverged: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The scores (N,) of a step; infinite, which is the worst, in rows that diverged or got no finite score.

        Raises:
            InputError: if the verifier fails or does not give a number for each row.
        """
        after = np.where(diverged.reshape(-1, *[1] * (after.ndim - 1)), before, after)  # no NaN for others to meet
        try:
            score = np.asarray(self.verifier.score(before, action, after))
        except Exception as error:
            raise InputError(f"verifier: expected scores, got {type(error).__name__}: {error}") from error
        if score.shape != diverged.shape or score.dtype.kind not in "fiu":
            raise InputError(
                f"verifier: expected a score for each row, {diverged.shape} floats, got {score.shape} {score.dtype}"
            )
        return np.where(np.isfinite(score) & ~diverged, score, np.inf).astype(np.float64)

    def impossible(self, score: Array) -> NDArray[np.bool_]:
        """Which rows (N,) went where they could not have gone."""
        return score > self.bound
