"""One dream as a Gymnasium Env: row 0 of a DreamVectorEnv of one, so that single and vector are the same core."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from .options import read_actions, read_seeds
from .snapshot import DreamSnapshot
from .vector import DreamVectorEnv


class DreamEnv(gym.Env):
    """One dream of a world model.

    With `seed=s` it dreams what environment i of a DreamVectorEnv dreams with seed s - i.

    Args:
        model: a folder written by `WorldModel.save_pretrained`, or a world model.
        render_mode: "rgb_array" for frame models.
        **options: `obs`, `horizon`, `steps`, `device`, `starts`, `batch_invariant`, `verifier`, `truncate_above`,
            `cache`, `codec`, `pages`, `commit` of DreamVectorEnv.

    Raises:
        InputError: if an option is out of range.
        CheckpointError: if `model` is a folder without a sound model.

    Example:
        >>> env = gym.make("wmenv/Dream-v0", model="runs/demo/model")  # doctest: +SKIP
        >>> obs, info = env.reset(seed=0)  # doctest: +SKIP
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}

    def __init__(self, model: Any, *, render_mode: str | None = None, **options: Any) -> None:
        mode = {"autoreset_mode": AutoresetMode.DISABLED, "render_mode": render_mode}
        self._rows = DreamVectorEnv(model, 1, **options, **mode)
        self.observation_space = self._rows.single_observation_space
        self.action_space = self._rows.single_action_space
        self.metadata = {key: self._rows.metadata[key] for key in ("render_modes", "render_fps")}
        self.render_mode = render_mode

    @property
    def horizon(self) -> int:
        """Steps after which the episode is truncated."""
        return self._rows.horizon

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new episode.

        Args:
            seed: seeds all randomness; by default the dream goes on in its stream of random numbers.
            options: "start": the recorded context to begin from.

        Returns:
            The observation, and `{"start": recorded context}`.

        Raises:
            InputError: if the seed or an option is malformed.
        """
        seed = None if seed is None else read_seeds(seed, 1)[0]
        obs, info = self._rows.reset(seed=seed, options=options)
        super().reset(seed=seed)  # Gymnasium's own generator; last, so that what is refused seeds nothing
        return obs[0], _row_info(info)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step; see DreamVectorEnv.step.

        Raises:
            InputError: if the action is malformed; nothing was stepped then.
            DreamNotReset: before the first reset and after the episode's end.
        """
        self._rows._live_state()
        row = read_actions(action, self.action_space)
        obs, reward, terminated, truncated, info = self._rows.step(row[None])
        return obs[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), _row_info(info)

    def render(self) -> np.ndarray | None:
        """The decoded frame, uint8 (size, size, 3); None without a render mode."""
        frames = self._rows.render()
        return None if frames is None else frames[0]

    def save_state(self) -> DreamSnapshot:
        """A copy of the dream, random numbers included."""
        return self._rows.save_state()

    def load_state(self, snapshot: DreamSnapshot) -> np.ndarray:
        """Go back to a saved moment; returns its observation."""
        return self._rows.load_state(snapshot)[0]

    def close(self) -> None:
        """Forget the dream; may be called again."""
        self._rows.close()


def _row_info(info: dict[str, Any]) -> dict[str, Any]:
    """Row 0 of a vector info, as Python numbers."""
    return {key: value[0].item() for key, value in info.items() if not key.startswith("_") and info[f"_{key}"][0]}
