"""One recorded episode: what passes between a recorder, the disk and the training windows.

# T steps, S state coordinates, A action coordinates, H W pixels
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Episode:
    """T steps from a reset on; the terminal observation is always there, so observations number T + 1.

    `action[t]` leads from observation t to observation t + 1 and earns `reward[t]`. With `terminated` and `truncated`
    both False the recording was cut off: the episode had not ended.

    Args:
        state: (T + 1, S) float32, SI units, the task's own coordinates.
        frames: (T + 1, H, W, 3) uint8 RGB, or None when no camera was recorded.
        action: (T, A) float32 in the task's own units.
        reward: (T,) float64.
        terminated: Whether the last step ended the episode for good.
        truncated: Whether the last step hit a time limit.
        qpos: (T + 1, nq) float64, MuJoCo's generalised positions.
        qvel: (T + 1, nv) float64, MuJoCo's generalised velocities.
        start_seed: The seed of the reset, None when the environment went on by itself; below 2**63.

    Raises:
        InputError: A field has another shape or type, or holds NaN or infinity.
    """

    state: NDArray[np.float32]
    action: NDArray[np.float32]
    reward: NDArray[np.float64]
    terminated: bool
    truncated: bool
    qpos: NDArray[np.float64]
    qvel: NDArray[np.float64]
    frames: NDArray[np.uint8] | None = None
    start_seed: int | None = None

    def __post_init__(self) -> None:
        for name, dtype in _FLOATS.items():
            object.__setattr__(self, name, _finite(name, getattr(self, name), dtype))
        steps = len(self.reward)
        if steps < 1 or self.reward.ndim != 1:
            raise InputError(f"reward: expected shape (T,) with T >= 1, got {self.reward.shape}; record a step first")
        for name in ("state", "action", "qpos", "qvel"):
            rows = steps if name == "action" else steps + 1
            array = getattr(self, name)
            if array.ndim != 2 or len(array) != rows or array.shape[1] < 1:
                raise InputError(
                    f"{name}: expected shape ({rows}, n) beside {steps} rewards, got {array.shape}; "
                    "an episode of T steps has T actions and T + 1 observations, the terminal one included"
                )
        if self.frames is not None:
            frames = np.asarray(self.frames)
            if frames.dtype != np.uint8 or frames.ndim != 4 or len(frames) != steps + 1 or frames.shape[3] != 3:
                raise InputError(
                    f"frames: expected uint8 ({steps + 1}, H, W, 3), got {frames.dtype} {frames.shape}; "
                    "give one RGB frame for each observation"
                )
            object.__setattr__(self, "frames", frames)
        seed = self.start_seed
        if seed is not None and not (hasattr(seed, "__index__") and 0 <= seed < 2**63):
            raise InputError(f"start_seed: expected None or an integer from 0 to 2**63 - 1, got {seed!r}")
        object.__setattr__(self, "terminated", bool(self.terminated))
        object.__setattr__(self, "truncated", bool(self.truncated))

    @property
    def num_steps(self) -> int:
        """T, the number of actions."""
        return len(self.reward)

    @property
    def total_reward(self) -> float:
        """The undiscounted return."""
        return float(self.reward.sum())


_FLOATS = {
    "state": np.float32,
    "action": np.float32,
    "reward": np.float64,
    "qpos": np.float64,
    "qvel": np.float64,
}


def _finite(name: str, value: object, dtype: type[np.floating]) -> NDArray:
    """`value` as an array of `dtype`; numbers that are not finite are an error, never data."""
    try:
        array = np.asarray(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers, got {type(value).__name__}; {error}") from error
    if not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers, got NaN or infinity; drop the episode or mend the task")
    return array
