"""A real task with the observations of a dream: the face over the encoders of wmenv.envs."""

from __future__ import annotations

from typing import Any, overload

import gymnasium as gym
from gymnasium.vector import VectorEnv

from wmenv.envs import LatentObservation, LatentVectorObservation
from wmenv.envs.model import resolve_model
from wmenv.errors import InputError


@overload
def wrap_real(env: gym.Env, model: Any) -> LatentObservation: ...
@overload
def wrap_real(env: VectorEnv, model: Any) -> LatentVectorObservation: ...
def wrap_real(env: gym.Env | VectorEnv, model: Any) -> LatentObservation | LatentVectorObservation:
    """Let a real environment be seen through a world model's encoder.

    Args:
        env: a real Env or VectorEnv (any autoreset mode) with the observations that the model was trained on.
        model: a folder written by `WorldModel.save_pretrained`, or a world model.

    Returns:
        The environment with the observation and action space of the model's latent dream; its own observation goes to
        `info["real_obs"]`.

    Raises:
        InputError: if observations or actions are not those of the model, or the task is another one.
        CheckpointError: if `model` is a folder without a sound model.

    Example:
        >>> env = wrap_real(gym.make("wmenv/Reacher-v0", obs="frames"), "runs/demo/model")  # doctest: +SKIP
    """
    model = resolve_model(model)
    task = _task_of(env)
    if task is not None and task != model.config.task:
        raise InputError(f"env: expected the task {model.config.task} of the model, got {task}; make that task")
    if isinstance(env, VectorEnv):
        return LatentVectorObservation(env, model)
    return LatentObservation(env, model)


def _task_of(env: gym.Env | VectorEnv) -> str | None:
    """The id of one of our tasks; None for a user's own environment."""
    inner = env.unwrapped
    inner = inner.envs[0].unwrapped if isinstance(getattr(inner, "envs", None), list) else inner
    return getattr(inner, "task_id", None)
