"""A real task with the observations of a dream: the face over the encoders of wmenv.envs."""

from __future__ import annotations

from typing import Any, overload

import gymnasium as gym
from gymnasium.vector import VectorEnv

from wmenv import LatentObservation, LatentVectorObservation


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
    if isinstance(env, VectorEnv):
        return LatentVectorObservation(env, model)
    return LatentObservation(env, model)
