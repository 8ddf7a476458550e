"""A task whose every number tells where it came from; the recording's processes import it by name."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

LOW, HIGH = np.float32([-1, -2]), np.float32([1, 2])


class StubEnv(gymnasium.Env):
    """The state is (step, seed mod 1000); an episode ends for good after 1 to 9 steps, as its seed says.

    qpos repeats the action that led here and qvel the reward, so that a shift by one is seen.
    """

    action_space = gymnasium.spaces.Box(LOW, HIGH)
    state_names = ("step [1]", "seed [1]")
    state_groups = (0, 1)
    fps = 20.0

    def __init__(self, obs: str = "state", size: int = 16, mode: str = "ends", world: Any = None) -> None:
        """With mode "endless" only a time limit ends episodes; "diverges" and "fails" do so at step 3."""
        shape = (size, size, 3)
        frames = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        self.observation_space = frames if obs == "frames" else gymnasium.spaces.Box(-1e4, 1e4, (2,))
        self._obs, self._size, self._mode = obs, size, mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """See Gymnasium."""
        super().reset(seed=seed)
        assert seed is not None
        self._seed, self._step = seed % 1000, 0
        return self._observe(np.zeros(2), 0.0)

    def step(self, action: np.ndarray):
        """See Gymnasium."""
        self._step += 1
        if self._mode == "fails" and self._step == 3:
            raise RuntimeError("the stub fails")
        reward = self._step + self._seed / 1000
        obs, info = self._observe(action, reward)
        info["diverged"] = self._mode == "diverges" and self._step == 3
        ended = self._mode == "ends" and self._step == 1 + self._seed % 9
        return obs, reward, ended or info["diverged"], False, info

    def _observe(self, action: np.ndarray, reward: float):
        state = np.float32([self._step, self._seed])
        info = {"qpos": np.float64(action), "qvel": np.float64([reward]), "state": state}
        if self._obs == "state":
            return state, info
        frame = np.full((self._size, self._size, 3), self._step, np.uint8)
        frame[..., 0] = self._seed % 256
        return frame, info
