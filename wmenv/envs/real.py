"""A real task seen through a world model's encoder, so that a policy moves between dream and reality unchanged.

The encoder streams: it carries what it has seen of each episode. A row that ends is encoded once more with the ended
episode's memory (its final observation), and only then is its memory begun anew with the next episode's first one.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from ..errors import InputError
from ..types import EncoderState, scatter_rows
from .model import DreamModel, device_of, resolve_model
from .options import action_space, latent_space


class LatentVectorObservation(VectorWrapper):
    """A real VectorEnv whose observations are latents; its own observation goes to `info["real_obs"]`.

    All three autoreset modes of Gymnasium are kept as the environment has them.

    Args:
        env: a real VectorEnv with the observations that `model` was trained on.
        model: a world model of that task, or the folder of one.

    Raises:
        InputError: if observations or actions are not those of `model`, or the task is another one.
        CheckpointError: if `model` is a folder without a sound model.
    """

    def __init__(self, env: VectorEnv, model: Any) -> None:
        super().__init__(env)
        model = resolve_model(model)
        _check_task(env, model)
        _check_spaces(env.single_observation_space, env.single_action_space, model)
        if "autoreset_mode" not in env.metadata:
            raise InputError("env: expected metadata['autoreset_mode'], got none; set it to what the env does")
        self.model = model
        self.single_observation_space = latent_space(model)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self._mode = AutoresetMode(env.metadata["autoreset_mode"])
        self._encoder: EncoderState | None = None
        self._begins = np.zeros(env.num_envs, dtype=bool)  # NEXT_STEP: the next observation is an episode's first

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset the real environment (rows of `options["reset_mask"]` only, if given) and their encoders."""
        mask = (options or {}).get("reset_mask")  # read first: Gymnasium's vector environments pop it
        obs, info = self.env.reset(seed=seed, options=options)
        mask = np.ones(self.num_envs, dtype=bool) if mask is None or self._encoder is None else mask
        self._restart(obs, mask)
        self._begins &= ~mask
        return self._latents(), info | {"real_obs": obs}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step the real environment and encode what it shows."""
        obs, reward, terminated, truncated, info = self.env.step(actions)
        assert self._encoder is not None
        ended = terminated | truncated
        info = info | {"real_obs": obs}
        if self._mode is AutoresetMode.SAME_STEP and ended.any():
            last = np.array(obs)
            last[ended] = np.stack([info["final_obs"][i] for i in np.flatnonzero(ended)])
            self._encoder = self.model.encoder_step(self._encoder, self._tensor(last))
            final_obs = self._latents()
            final_obs[~ended] = 0
            self._restart(obs, ended)
            info |= {"final_obs": final_obs, "_final_obs": ended.copy(), "final_real_obs": last}
        else:
            self._encoder = self.model.encoder_step(self._encoder, self._tensor(obs))
            if self._begins.any():
                self._restart(obs, self._begins)
            if self._mode is AutoresetMode.NEXT_STEP:
                self._begins = ended.copy()
        return self._latents(), reward, terminated, truncated, info

    def _restart(self, obs: np.ndarray, mask: np.ndarray) -> None:
        """Begin the encoders of the rows `mask` with the observation of those rows."""
        if mask.all():
            self._encoder = self.model.encoder_reset(self._tensor(obs))
            return
        assert self._encoder is not None
        rows = self.model.encoder_reset(self._tensor(obs[mask]))
        index = torch.as_tensor(np.flatnonzero(mask), device=device_of(self.model))
        self._encoder = scatter_rows(self._encoder, index, rows)

    def _latents(self) -> np.ndarray:
        assert self._encoder is not None
        return np.array(self.model.encoder_observation(self._encoder).cpu().numpy())

    def _tensor(self, obs: np.ndarray) -> torch.Tensor:
        return _to_model(obs, self.model)


class LatentObservation(gym.Wrapper):
    """A real Env whose observations are latents; its own observation goes to `info["real_obs"]`.

    Args:
        env: a real Env with the observations that `model` was trained on.
        model: a world model of that task, or the folder of one.

    Raises:
        InputError: if observations or actions are not those of `model`, or the task is another one.
        CheckpointError: if `model` is a folder without a sound model.
    """

    def __init__(self, env: gym.Env, model: Any) -> None:
        super().__init__(env)
        model = resolve_model(model)
        _check_task(env, model)
        _check_spaces(env.observation_space, env.action_space, model)
        self.model = model
        self.observation_space = latent_space(model)
        self._encoder: EncoderState | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Reset the real environment and the encoder."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._encoder = self.model.encoder_reset(_to_model(obs[None], self.model))
        return self._latents(), info | {"real_obs": obs}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Step the real environment and encode what it shows."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        assert self._encoder is not None
        self._encoder = self.model.encoder_step(self._encoder, _to_model(obs[None], self.model))
        return self._latents(), float(reward), terminated, truncated, info | {"real_obs": obs}

    def _latents(self) -> np.ndarray:
        assert self._encoder is not None
        return np.array(self.model.encoder_observation(self._encoder)[0].cpu().numpy())


def _to_model(obs: np.ndarray, model: DreamModel) -> torch.Tensor:
    kind = np.uint8 if model.config.modality == "frames" else np.float32
    return torch.from_numpy(np.ascontiguousarray(obs, dtype=kind)).to(device_of(model))


def _check_task(env: gym.Env | VectorEnv, model: DreamModel) -> None:
    """Refuse one of our own tasks that is not the model's; a user's own environment has no task id."""
    inner = env.unwrapped
    inner = inner.envs[0].unwrapped if isinstance(getattr(inner, "envs", None), list) else inner
    task = getattr(inner, "task_id", None)
    if task not in (None, model.config.task):
        raise InputError(f"env: expected the task {model.config.task} of the model, got {task}; make that task")


def _check_spaces(observation: gym.Space, action: gym.Space, model: DreamModel) -> None:
    """Refuse an environment that shows or takes something else than `model` knows."""
    c = model.config
    frames = c.modality == "frames"
    shape = (c.image_size, c.image_size, 3) if frames else (c.state_dim,)
    kind = "uint8" if frames else "float"
    sound = isinstance(observation, Box) and (
        observation.dtype == np.uint8 if frames else observation.dtype.kind == "f"
    )
    if not sound or observation.shape != shape:
        raise InputError(
            f"env: expected {c.modality} observations, {kind} {shape}, got {observation}; "
            f"make the task with obs={c.modality!r}" + (f" and size={c.image_size}" if frames else "")
        )
    want = action_space(model)
    if (
        not isinstance(action, Box)
        or action.shape != want.shape
        or not np.allclose([action.low, action.high], [want.low, want.high])
    ):
        raise InputError(f"env: expected actions {want}, got {action}; the model was trained on {c.task}")
