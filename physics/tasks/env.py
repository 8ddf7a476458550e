"""The environment that every task is: a simulation seen as frames or as state, with its faults made visible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..drawing.camera import Camera
from ..drawing.render import Renderer, check_size
from ..errors import TaskError
from ..world import World, as_world
from .coordinates import Coordinate, StateReader, coordinates_of
from .fit_camera import fitted_camera
from .registry import find_spec
from .sources import open_simulation
from .spec import TaskSpec

ObsMode = Literal["frames", "state"]
LARGEST_ACTION = 1e3  # in units of the action space's limits; beyond it a reward may overflow
_FAULTS = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)


class TaskEnv(gymnasium.Env[NDArray[Any], NDArray[np.float32]]):
    """A MuJoCo task whose observation is a picture or the full state.

    `info` at every reset and step holds "qpos", "qvel" (float64, SI), "time" (s) and "state" (float32 (S,)), besides
    what the source itself reports. When the simulation diverges, `info["diverged"]` is True, the episode is terminated,
    the reward is 0 and the observation is the last finite one.

    Args:
        task: A registered task id, or a `TaskSpec`.
        obs: "state" (float32 (S,)) or "frames" (uint8 (size, size, 3)).
        size: Width and height of a frame, pixels.
        world: Multipliers of the model's constants, as a World or a mapping; None: the nominal world.
        render_mode: None or "rgb_array".
        render_size: Width and height of what `render()` returns; None: `size`.
        camera: Replaces the task's camera.

    Raises:
        TaskError: An argument is not what was expected.

    Example:
        >>> env = TaskEnv("wmenv/Reacher-v0", obs="state")
        >>> env.reset(seed=1)[0].shape
        (8,)
        >>> env.close()
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 50}

    def __init__(
        self,
        task: str | TaskSpec,
        obs: ObsMode = "state",
        size: int = 64,
        world: World | Mapping[str, float] | None = None,
        render_mode: str | None = None,
        render_size: int | None = None,
        camera: Camera | None = None,
    ) -> None:
        self._spec = task if isinstance(task, TaskSpec) else find_spec(task)
        if obs not in ("frames", "state"):
            raise TaskError(f"obs: expected 'frames' or 'state', got {obs!r}")
        if render_mode not in (None, "rgb_array"):
            raise TaskError(f"render_mode: expected None or 'rgb_array', got {render_mode!r}")
        if camera is not None and not isinstance(camera, Camera):
            raise TaskError(f"camera: expected a physics.Camera, got {camera!r}")
        self._obs, self._size = obs, check_size(size)
        self._render_size = self._size if render_size is None else check_size(render_size, "render_size")
        self.render_mode = render_mode
        self._world = as_world(world)
        self._simulation = open_simulation(self._spec, self._world)
        model = self._simulation.model
        self._coordinates = coordinates_of(model, self._spec)
        self._reader = StateReader(model, self._coordinates)
        look = camera or self._spec.camera or fitted_camera(model)
        self._renderer = Renderer(model, look)
        self.action_space = self._simulation.action_space
        if obs == "frames":
            self.observation_space = spaces.Box(0, 255, (self._size, self._size, 3), np.uint8)
        else:
            self.observation_space = spaces.Box(self._reader.low, self._reader.high, dtype=np.float32)
        self._action_limit = LARGEST_ACTION * np.maximum(np.abs(self.action_space.low), np.abs(self.action_space.high))
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": max(1, round(self.fps))}
        self._ready = self._closed = False
        self._last: tuple[NDArray[Any], dict[str, Any]] | None = None

    @property
    def task_id(self) -> str:
        """The task's Gymnasium id."""
        return self._spec.id

    @property
    def world(self) -> World:
        """The multipliers of the model's constants."""
        return self._world

    @property
    def fps(self) -> float:
        """Control steps per simulated second."""
        return 1.0 / self._simulation.dt

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """What each number of the state is."""
        return self._coordinates

    @property
    def state_names(self) -> tuple[str, ...]:
        """One name per state coordinate, such as "qvel:slider [m/s]"."""
        return tuple(c.label for c in self._coordinates)

    @property
    def state_groups(self) -> tuple[int, ...]:
        """The number of the joint, object or goal that each state coordinate belongs to."""
        return tuple(c.group for c in self._coordinates)

    @property
    def state_low(self) -> tuple[float, ...]:
        """Lower bound of each state coordinate, SI."""
        return tuple(float(v) for v in self._reader.low)

    @property
    def state_high(self) -> tuple[float, ...]:
        """Upper bound of each state coordinate, SI."""
        return tuple(float(v) for v in self._reader.high)

    @property
    def model(self) -> mujoco.MjModel:
        """The MuJoCo model that is stepped."""
        return self._simulation.model

    @property
    def data(self) -> mujoco.MjData:
        """The live MuJoCo state."""
        return self._simulation.data

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Starts the stream of random numbers anew; None goes on with it.
            options: Not used.

        Returns:
            The observation and `info`.
        """
        self._check_open()
        super().reset(seed=seed)
        extra = self._simulation.reset(seed)
        self._simulation.data.warning.number[:] = 0
        self._ready = True
        self._last = self._observe(extra)
        return self._last

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """Advance one control step.

        Args:
            action: (A,) finite numbers in the task's own units. Beyond the action space an MJCF file's are clipped,
                before its reward sees them; Gymnasium's and dm_control's tasks get them as they are, and their motors
                saturate at the limits that the model gives them.

        Returns:
            Observation, reward, terminated, truncated (always False here) and `info`.

        Raises:
            TaskError: The action is malformed, or there is no running episode.
        """
        self._check_open()
        if not self._ready:
            raise TaskError("step: expected a running episode, got none; call reset() first")
        outcome = self._simulation.step(self._check_action(action))
        if outcome.info.get("diverged") or self._diverged() or not np.isfinite(outcome.reward):
            return self._give_up()
        self._last = self._observe({**outcome.info, "diverged": False})
        return self._last[0], outcome.reward, outcome.terminated, False, self._last[1]

    def camera_frame(self, size: int | None = None) -> NDArray[np.uint8]:
        """The camera's picture of the present state, (size, size, 3) uint8; `size` as the environment's if None."""
        self._check_open()
        return self._renderer.draw(self._simulation.data, self._size if size is None else check_size(size))

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """The camera's picture at `render_size` if `render_mode` is "rgb_array", else None."""
        return self.camera_frame(self._render_size) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the simulation and the camera; may be called again."""
        if not getattr(self, "_closed", True):
            self._closed = True
            self._renderer.close()
            self._simulation.close()

    def _observe(self, extra: dict[str, Any]) -> tuple[NDArray[Any], dict[str, Any]]:
        data = self._simulation.data
        state = self._reader.read(data)
        info = {**extra, "qpos": data.qpos.copy(), "qvel": data.qvel.copy(), "time": float(data.time), "state": state}
        return (self.camera_frame() if self._obs == "frames" else state.copy()), info

    def _diverged(self) -> bool:
        data = self._simulation.data
        if any(data.warning[fault].number for fault in _FAULTS):
            return True
        return not (np.isfinite(data.qpos).all() and np.isfinite(data.qvel).all())

    def _give_up(self) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        assert self._last is not None
        observation, info = self._last
        self._ready = False
        return observation.copy(), 0.0, True, False, {**info, "diverged": True}

    def _check_open(self) -> None:
        if self._closed:
            raise TaskError("env: expected an open environment, got a closed one; make a new one")

    def _check_action(self, action: object) -> NDArray[np.floating]:
        shape = self.action_space.shape
        try:
            values = np.asarray(action)
        except ValueError as error:
            raise TaskError(f"action: expected {shape} numbers, got {action!r}") from error
        if values.dtype.kind not in "fiu":
            raise TaskError(f"action: expected a float array {shape}, got dtype {values.dtype}")
        if values.shape != shape:
            raise TaskError(f"action: expected shape {shape}, got {values.shape}")
        if not np.isfinite(values).all():
            raise TaskError(f"action: expected finite numbers, got {values}")
        if (np.abs(values) > self._action_limit).any():
            raise TaskError(
                f"action: expected numbers from {self.action_space.low} to {self.action_space.high}, got {values}"
            )
        return values
