"""A simulation out of a user's own MJCF file, with the reward and termination that the user gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..errors import TaskError
from ..world import World
from .simulation import Outcome

Reward = Callable[[mujoco.MjModel, mujoco.MjData, NDArray[np.floating]], float]
Termination = Callable[[mujoco.MjModel, mujoco.MjData], bool]
OPTIONS = ("frame_skip", "reset_noise", "reward", "terminated")


class MjcfSimulation:
    """Steps the model of an MJCF file.

    Args:
        path: The MJCF file; `check_mjcf` has looked at it when it was registered.
        options: `frame_skip`, physics steps per control step (1); `reset_noise`, half-width of the uniform noise that a
            reset adds to the first keyframe or the reference pose, m or rad and per second (0.01); `reward`, a function
            of model, data and action, which has been clipped (0 everywhere); `terminated`, a function of model and data
            (never).
        world: Applied to the model.

    Raises:
        TaskError: The file is malformed, has no actuators, or an option is not what was expected.
    """

    def __init__(self, path: str, options: Mapping[str, Any], world: World) -> None:
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise TaskError(f"options: expected names out of {list(OPTIONS)} for an MJCF file, got {unknown}")
        try:
            self.model = mujoco.MjModel.from_xml_path(str(Path(path)))
        except (ValueError, OSError) as error:
            raise TaskError(f"source: expected an MJCF file that compiles, got {path}: {error}") from error
        if not self.model.nu or not self.model.nv:
            raise TaskError(
                f"source: expected a model with joints and actuators, got {path} with nv={self.model.nv} and "
                f"nu={self.model.nu}"
            )
        self._frame_skip = options.get("frame_skip", 1)
        if not (isinstance(self._frame_skip, int) and 1 <= self._frame_skip <= 1000):
            raise TaskError(f"options.frame_skip: expected a whole number from 1 to 1000, got {self._frame_skip!r}")
        self._noise = float(options.get("reset_noise", 0.01))
        if not 0 <= self._noise < np.inf:
            raise TaskError(f"options.reset_noise: expected a number of at least 0, got {self._noise!r}")
        self._reward: Reward | None = options.get("reward")
        self._terminated: Termination | None = options.get("terminated")
        self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        world.apply(self.model)
        self.data = mujoco.MjData(self.model)
        limited = self.model.actuator_ctrllimited.astype(bool)
        low, high = np.where(limited[:, None], self.model.actuator_ctrlrange, (-1.0, 1.0)).T.astype(np.float32)
        self.action_space = spaces.Box(low, high, dtype=np.float32)
        self.dt = float(self.model.opt.timestep) * self._frame_skip
        self._random = np.random.default_rng()

    def reset(self, seed: int | None) -> dict[str, Any]:
        """Start an episode near the first keyframe, or near the reference pose if there is none."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        if self.model.nkey:
            mujoco.mj_resetDataKeyframe(self.model, self.data, 0)
        else:
            mujoco.mj_resetData(self.model, self.data)
        shift, push = self._random.uniform(-self._noise, self._noise, (2, self.model.nv))
        mujoco.mj_integratePos(self.model, self.data.qpos, shift, 1.0)
        self.data.qvel += push
        mujoco.mj_forward(self.model, self.data)
        return {}

    def step(self, action: NDArray[np.floating]) -> Outcome:
        """Advance `frame_skip` physics steps under constant controls, those of `action` clipped to the action space.

        Replays clip too; a motor without a ctrlrange would take whatever it is given.
        """
        action = np.clip(action, self.action_space.low, self.action_space.high)
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data, self._frame_skip)
        reward = 0.0 if self._reward is None else float(self._reward(self.model, self.data, action))
        ended = self._terminated is not None and bool(self._terminated(self.model, self.data))
        return Outcome(reward, ended, {})

    def close(self) -> None:
        """Nothing is held."""
