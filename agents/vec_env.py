"""Stable-baselines3 over Gymnasium's vector environments: SB3's VecEnv is another interface, so PPO needs this adapter.

An episode that ends by its horizon reaches PPO as `TimeLimit.truncated` with its `terminal_observation`, so that the
value of what would have followed is bootstrapped; in dreams most episodes end so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv

from wmenv import DreamVectorEnv, InputError

Indices = None | int | Iterable[int]


class SB3VecEnv(VecEnv):
    """Any Gymnasium VectorEnv with SAME_STEP autoreset as an SB3 VecEnv.

    Args:
        envs: the vector environment; it is stepped as one batch.

    Raises:
        InputError: if it resets in another mode.

    Example:
        >>> options = {"autoreset_mode": AutoresetMode.SAME_STEP}
        >>> envs = gym.make_vec("CartPole-v1", 4, vectorization_mode="sync", vector_kwargs=options)
        >>> SB3VecEnv(envs).reset().shape
        (4, 4)
    """

    def __init__(self, envs: VectorEnv) -> None:
        mode = envs.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise InputError(
                f"envs: expected autoreset mode SAME_STEP, as SB3 resets, got {mode}; "
                "make it with autoreset_mode=AutoresetMode.SAME_STEP"
            )
        self.envs = envs
        self._actions: np.ndarray | None = None
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> np.ndarray:
        """Begin new episodes, with the seeds of the last `seed()` if there was one since; returns observations."""
        options = self._options[0]
        if any(other != options for other in self._options):
            raise InputError("options: expected the same for every env, got different ones; a batch resets as one")
        obs, infos = self.envs.reset(seed=self._seed(), options=dict(options) or None)
        self.reset_infos = split_infos(infos, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions (N, A) for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """One step of every environment: observations, rewards float32, dones and one info dict for each."""
        obs, reward, terminated, truncated, infos = self.envs.step(self._actions)
        dones = terminated | truncated
        rows: list[dict[str, Any]]
        if dones.any():
            final_obs = infos.pop("final_obs")
            last = split_infos(infos.pop("final_info", {}), self.num_envs)
            infos.pop("_final_obs", None), infos.pop("_final_info", None)
            rows = split_infos(infos, self.num_envs)
            for i in np.flatnonzero(dones):
                self.reset_infos[i] = rows[i]
                rows[i] = last[i] | {"terminal_observation": final_obs[i]}
        else:
            rows = split_infos(infos, self.num_envs)
        for row, cut in zip(rows, (truncated & ~terminated).tolist(), strict=True):
            row["TimeLimit.truncated"] = cut
        return obs, np.asarray(reward, dtype=np.float32), dones, rows

    def close(self) -> None:
        """Close the vector environment."""
        self.envs.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """One frame of each environment."""
        frames = self.envs.render()
        return [None] * self.num_envs if frames is None else list(frames)

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """The attribute of each environment, or that of the batch once for each."""
        rows = list(self._get_indices(indices))
        if isinstance(getattr(self.envs, "envs", None), list):
            return [self.envs.envs[i].get_wrapper_attr(attr_name) for i in rows]
        return [getattr(self.envs, attr_name)] * len(rows)

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute of each environment, or of the whole batch."""
        rows = list(self._get_indices(indices))
        if isinstance(getattr(self.envs, "envs", None), list):
            for i in rows:
                self.envs.envs[i].set_wrapper_attr(attr_name, value)
            return
        if len(rows) != self.num_envs:
            raise InputError(f"indices: expected all {self.num_envs} envs, got {rows}; they are one batch")
        setattr(self.envs, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Indices = None, **kwargs: Any) -> list[Any]:
        """Call a method of each environment, or of the batch once (its answer then stands for each)."""
        rows = list(self._get_indices(indices))
        if isinstance(getattr(self.envs, "envs", None), list):
            return [self.envs.envs[i].get_wrapper_attr(method_name)(*args, **kwargs) for i in rows]
        return [getattr(self.envs, method_name)(*args, **kwargs)] * len(rows)

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Indices = None) -> list[bool]:
        """Whether each environment has such a wrapper; a native batch has none."""
        rows = list(self._get_indices(indices))
        inner = getattr(self.envs, "envs", None)
        return [isinstance(inner, list) and _is_wrapped(inner[i], wrapper_class) for i in rows]

    def _seed(self) -> int | list[int | None] | None:
        """The pending seeds, as one int where they count up: every VectorEnv takes that."""
        first = self._seeds[0]
        if all(seed is None for seed in self._seeds):
            return None
        if first is not None and self._seeds == [first + i for i in range(self.num_envs)]:
            return first
        return list(self._seeds)


class DreamVecEnv(SB3VecEnv):
    """`num_envs` dreams of one world model for SB3.

    Args:
        model: a folder written by `WorldModel.save_pretrained`, or a world model.
        num_envs: number of dreams, at least 1.
        **options: those of `wmenv.envs.DreamVectorEnv`.

    Raises:
        InputError: if an option is out of range.
        CheckpointError: if `model` is a folder without a sound model.

    Example:
        >>> PPO("MlpPolicy", DreamVecEnv("runs/demo/model", 64)).learn(100_000)  # doctest: +SKIP
    """

    def __init__(self, model: Any, num_envs: int, **options: Any) -> None:
        super().__init__(DreamVectorEnv(model, num_envs, **options))


def split_infos(infos: dict[str, Any], num_envs: int) -> list[dict[str, Any]]:
    """Gymnasium's dict of arrays with masks as one dict for each environment."""
    rows: list[dict[str, Any]] = [{} for _ in range(num_envs)]
    for key, values in infos.items():
        if key.startswith("_"):
            continue
        mask = infos.get(f"_{key}")
        values = split_infos(values, num_envs) if isinstance(values, dict) else values
        for i in range(num_envs) if mask is None else np.flatnonzero(mask):
            rows[i][key] = values[i]
    return rows


def _is_wrapped(env: gym.Env, wrapper_class: type[gym.Wrapper]) -> bool:
    while isinstance(env, gym.Wrapper):
        if isinstance(env, wrapper_class):
            return True
        env = env.env
    return False
