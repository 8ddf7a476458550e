"""What an environment needs of whatever steps MuJoCo, so that Gymnasium, dm_control and plain MJCF look alike."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


class Outcome(NamedTuple):
    """What a step brought besides the new state."""

    reward: float
    terminated: bool
    info: dict[str, Any]


class Simulation(Protocol):
    """A MuJoCo model with its data, a way to start an episode and a way to advance one control step."""

    model: mujoco.MjModel
    action_space: spaces.Box
    dt: float
    """Seconds per control step."""

    @property
    def data(self) -> mujoco.MjData:
        """The live state."""
        ...

    def reset(self, seed: int | None) -> dict[str, Any]:
        """Start an episode; a seed starts the stream of random numbers anew."""
        ...

    def step(self, action: NDArray[np.floating]) -> Outcome:
        """Advance one control step."""
        ...

    def close(self) -> None:
        """Free what the source holds."""
        ...
