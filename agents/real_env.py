"""The real task as a policy sees it: through the world model's encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

import physics
from wmenv import InputError, types

if TYPE_CHECKING:
    from wmenv import WorldModel


def make_task(task: str, model: WorldModel | None, *, world: Any = None) -> gym.Env:
    """One real environment whose raw observations the model's encoder reads.

    Args:
        task: Id of the task.
        model: Decides between frames (and their size) and state; None for state.
        world: A `physics.World`, a mapping of its fields, or None for the nominal one.

    Raises:
        TaskError: The task is unknown or the world has an unknown field.
    """
    options: dict[str, Any] = {"obs": "state"}
    if model is not None and model.config.modality == "frames":
        options = {"obs": "frames", "size": model.config.image_size}
    if world is not None:
        options["world"] = world
    return physics.make_task(task, **options)


def check_limited(env: gym.Env, task: str) -> None:
    """Refuses a task whose episodes may never end: nobody could wait for whole ones.

    Raises:
        InputError: It has no limit of steps.
    """
    if env.spec is None or env.spec.max_episode_steps is None:
        raise InputError(
            f"task: expected one with a limit of steps, got {task} without; register it with max_episode_steps"
        )


def make_real_vec_env(task: str, model: WorldModel, num_envs: int, *, world: Any = None) -> VecEnv:
    """Real environments for SB3, with the observations of the model's dreams."""
    from .vec_env import SB3VecEnv
    from .wrap_real import wrap_real

    envs = SyncVectorEnv(
        [lambda: make_task(task, model, world=world)] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP
    )
    return SB3VecEnv(wrap_real(envs, model))


class RealObserver:
    """Streams raw observations of several environments through the model's encoder, one memory a row."""

    def __init__(self, model: WorldModel | None, rows: int) -> None:
        """Without a model, observations pass unchanged."""
        self._model = model
        self._device = getattr(getattr(model, "start_is_initial", None), "device", torch.device("cpu"))
        self._rows = rows
        self._state: types.EncoderState | None = None
        self._raw: dict[int, Any] = {}

    def begin(self, rows: NDArray[np.int64], obs: Sequence[Any]) -> None:
        """Rows (K,) begin an episode with these raw observations."""
        self._keep(rows, obs)
        if self._model is None:
            return
        fresh = self._model.encoder_reset(self._tensor(obs))
        if self._state is None:
            empty = (field.new_zeros((self._rows, *field.shape[1:])) for field in fresh)
            self._state = types.EncoderState(*empty)
        self._state = types.scatter_rows(self._state, torch.as_tensor(rows, device=self._device), fresh)

    def advance(self, rows: NDArray[np.int64], obs: Sequence[Any]) -> None:
        """Rows (K,) go on with these raw observations."""
        self._keep(rows, obs)
        if self._model is None or self._state is None:
            return
        index = torch.as_tensor(rows, device=self._device)
        fresh = self._model.encoder_step(types.gather_rows(index, self._state), self._tensor(obs))
        self._state = types.scatter_rows(self._state, index, fresh)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The policy's observations (K, O) of these rows."""
        if self._model is None or self._state is None:
            return np.stack([self._raw[int(row)] for row in rows])
        index = torch.as_tensor(rows, device=self._device)
        return self._model.encoder_observation(types.gather_rows(index, self._state)).cpu().numpy()

    def _keep(self, rows: NDArray[np.int64], obs: Sequence[Any]) -> None:
        if self._model is None:
            self._raw.update(zip(map(int, rows), obs, strict=True))

    def _tensor(self, obs: Sequence[Any]) -> torch.Tensor:
        return torch.from_numpy(np.stack(obs)).to(self._device)
