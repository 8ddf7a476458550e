"""A simulation out of Gymnasium's own MuJoCo classes, whose dynamics, rewards and terminations stay theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces
from gymnasium.envs.mujoco import MujocoEnv
from numpy.typing import NDArray

from ..errors import TaskError
from ..world import World
from .simulation import Outcome


class GymSimulation:
    """Steps a registered Gymnasium MuJoCo environment without any of its wrappers.

    Args:
        env_id: Such as "Hopper-v5".
        options: Keyword arguments of the environment's class.
        world: Applied to the model.

    Raises:
        TaskError: The id is unknown, cannot be made, or is no MuJoCo environment.
    """

    def __init__(self, env_id: str, options: Mapping[str, Any], world: World) -> None:
        env = _make(env_id, options).unwrapped
        if not (isinstance(env, MujocoEnv) and isinstance(env.action_space, spaces.Box)):
            env.close()
            raise TaskError(f"source: expected a Gymnasium MuJoCo environment with a Box action, got {env_id!r}")
        self._env = env
        self.model = env.model
        self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        world.apply(self.model)
        self.action_space = env.action_space
        self.dt = float(env.dt)

    @property
    def data(self) -> mujoco.MjData:
        """The live state."""
        return self._env.data

    def reset(self, seed: int | None) -> dict[str, Any]:
        """Start an episode as the environment does."""
        return dict(self._env.reset(seed=seed)[1])

    def step(self, action: NDArray[np.floating]) -> Outcome:
        """Advance one control step as the environment does."""
        _, reward, terminated, _, info = self._env.step(action)
        return Outcome(float(reward), bool(terminated), info)

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


def own_limit(env_id: str, options: Mapping[str, Any]) -> int | None:
    """Control steps after which Gymnasium itself truncates `env_id`, whatever way the id is spelt; None: never.

    Raises:
        TaskError: The id is unknown or cannot be made.
    """
    env = _make(env_id, options)
    env.close()
    return None if env.spec is None else env.spec.max_episode_steps


def _make(env_id: str, options: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    try:
        return gymnasium.make(env_id, disable_env_checker=True, **options)
    except (gymnasium.error.Error, ImportError, TypeError, OSError, ValueError) as error:
        raise TaskError(f"source: expected a Gymnasium MuJoCo id that can be made, got {env_id!r}: {error}") from error
