"""A simulation out of the DeepMind Control Suite, whose dynamics and rewards stay its own."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..drawing.graphics import APT_LINE
from ..errors import TaskError
from ..messages import route_messages
from ..world import World
from .simulation import Outcome


class DmcSimulation:
    """Steps a dm_control suite task without its own time limit.

    The suite's seed is a `numpy.random.RandomState`: `reset(seed)` starts the same episode as a suite task that was
    loaded with `random=seed`.

    Args:
        name: "domain/task", such as "cartpole/swingup".
        world: Applied to the model.

    Raises:
        TaskError: dm_control is not installed, or has no such task.
    """

    def __init__(self, name: str, world: World) -> None:
        try:
            from dm_control import suite
            from dm_control.rl.control import PhysicsError
        except ModuleNotFoundError as error:
            raise TaskError(
                f'source: expected dm_control for "dmc:{name}", got {error}; run: pip install "wmenv[dmc]"'
            ) from error
        except (ImportError, RuntimeError) as error:  # it asks for OpenGL when it is imported
            raise TaskError(
                f'source: expected dm_control to find OpenGL for "dmc:{name}", got {error}; run "{APT_LINE}", or set '
                "MUJOCO_GL=disable and use states alone"
            ) from error
        route_messages()  # dm_control has installed its own
        domain, _, task = name.partition("/")
        try:
            self._env = suite.load(domain, task, task_kwargs={"time_limit": float("inf")})
        except (ValueError, TypeError) as error:
            raise TaskError(f"source: expected a suite task 'domain/task', got {name!r}: {error}") from error
        self._physics_error = PhysicsError
        self.model: mujoco.MjModel = self._env.physics.model.ptr
        self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        world.apply(self.model)
        action = self._env.action_spec()
        self.action_space = spaces.Box(action.minimum.astype(np.float32), action.maximum.astype(np.float32))
        self.dt = float(self._env.control_timestep())

    @property
    def data(self) -> mujoco.MjData:
        """The live state."""
        return self._env.physics.data.ptr

    def reset(self, seed: int | None) -> dict[str, Any]:
        """Start an episode as the suite does."""
        if seed is not None:
            self._env.task._random = np.random.RandomState(seed)  # the suite has no public way to seed a loaded task
        try:
            self._env.reset()
        except self._physics_error as error:
            raise TaskError(f"world: expected a model that can start, got {error}; use milder multipliers") from error
        return {}

    def step(self, action: NDArray[np.floating]) -> Outcome:
        """Advance one control step as the suite does; a discount of 0 is a termination."""
        try:
            time_step = self._env.step(action)
        except self._physics_error:
            return Outcome(0.0, True, {"diverged": True})
        return Outcome(float(time_step.reward), bool(time_step.last() and time_step.discount == 0.0), {})

    def close(self) -> None:
        """Close the suite's environment."""
        self._env.close()
