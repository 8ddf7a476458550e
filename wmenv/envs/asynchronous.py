"""Many dreams that wait for nobody: actions go in as they come, and steps come out as they are done."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.vector.utils import batch_space

from ..errors import InputError
from ..memory import keep_freed_memory
from . import options as read
from .faces import on_host, row_streams
from .infos import end_info, start_info
from .model import device_of, resolve_model
from .room import room_for
from .stream import DreamStream, check_streams


@dataclass(slots=True)
class Arrival:
    """Rows whose steps are made, until all is had that is told of them."""

    rows: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    diverged: np.ndarray
    obs: np.ndarray | None = None  # the last of each
    start: np.ndarray | None = None  # where those that ended have begun anew


class AsyncDreamVectorEnv:
    """`num_envs` dreams of which `batch_size` are handed out at a time, by `send` and `recv` as in EnvPool.

    Rows that have their actions share forwards at whatever denoising step they are, so that slow agents, unequal
    numbers of steps and episodes' ends hold nobody up. A row dreams what it would dream in `DreamVectorEnv` with the
    same seed and actions, to rounding; which rows `recv` returns together follows from the order of calls alone.
    A row that ends begins anew at once, as with SAME_STEP autoreset.

    Args:
        model: a folder written by `WorldModel.save_pretrained`, or a world model.
        num_envs: number of dreams, at least 1.
        batch_size: rows that `recv` returns; by default all of them.
        obs: "latent", or what the model decodes: "frames" or "state" (SI units).
        horizon: steps until an episode is truncated; by default the task's own limit, or 1,000.
        steps: denoising steps of each frame; by default the model's own.
        tolerance: end a row's denoising once its estimate has changed by less since the step before (root mean square
            over the frame, in units of the mean change of latents): easy frames then cost less; `steps` are the most,
            each of which halves the noise. None: make all steps, whose noise falls evenly.
        device: "cpu", "cuda" or "auto".
        starts: "any" recorded context, or "initial": only those that end at an episode's first observation.

    Raises:
        InputError: if an option is out of range, or the model is not a `WorldModel`.
        CheckpointError: if `model` is a folder without a sound model.

    Example:
        >>> envs = AsyncDreamVectorEnv("runs/demo/model", 256, batch_size=64)  # doctest: +SKIP
        >>> envs.async_reset(seed=0)  # doctest: +SKIP
        >>> obs, reward, terminated, truncated, info = envs.recv()  # doctest: +SKIP
        >>> envs.send(policy(obs), info["env_id"])  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Any,
        num_envs: int = 1,
        *,
        batch_size: int | None = None,
        obs: str = "latent",
        horizon: int | None = None,
        steps: int | None = None,
        tolerance: float | None = None,
        device: str = "auto",
        starts: str = "any",
    ) -> None:
        self.num_envs = read.read_count("num_envs", num_envs)
        self._batch_size = self.num_envs if batch_size is None else read.read_count("batch_size", batch_size)
        if self._batch_size > self.num_envs:
            raise InputError(f"batch_size: expected at most num_envs = {num_envs}, got {batch_size}; lower it")
        model = resolve_model(model, device)
        self.single_observation_space = read.observation_space(model, obs)
        self.single_action_space = read.action_space(model)
        self.core = read.make_core(
            model, self.num_envs, horizon=horizon, limit=None, steps=steps, starts=starts, batch_invariant=False
        )
        check_streams(self.core, tolerance)
        self.obs_mode, self.device, self._tolerance = obs, device_of(model), tolerance
        self.observation_space = batch_space(self.single_observation_space, self.batch_size)
        self.action_space = batch_space(self.single_action_space, self.batch_size)
        self.metadata = {"render_modes": [], "render_fps": model.config.fps}
        self.closed = False
        self._stream: DreamStream | None = None
        self._arrival: Arrival | None = None
        self._ready: deque[int] = deque()
        self._results: dict[str, np.ndarray] = {}
        keep_freed_memory()

    @property
    def batch_size(self) -> int:
        """Rows that `recv` returns."""
        return self._batch_size

    def async_reset(self, *, seed: int | Sequence[int | None] | None = None) -> None:
        """Begin new episodes in all rows; `recv` hands out their first observations, with reward 0.

        Args:
            seed: row i is seeded with `seed + i` (or with seed[i]); by default each goes on in its own stream of random
                numbers, or takes a seed from the system when it never had one.

        Raises:
            InputError: if a seed is malformed.
            DreamMemoryError: if memory runs out; the dreams that were there go on, and the message says how many fit.
        """
        self._check_open()
        new = [None] * self.num_envs if seed is None else read.read_seeds(seed, self.num_envs)
        before = None if self._stream is None else (self._stream.state.seed, self._stream.state.counter)
        rows, counter = row_streams(new, before, lambda: int(np.random.default_rng().integers(2**62)), self.device)
        every, n = np.arange(self.num_envs), self.num_envs
        with self._room():
            state, start = self.core.begin(rows, counter)
            stream = DreamStream(self.core, state, tolerance=self._tolerance)
            obs = self._observe(stream, every)
        self._stream, self._arrival, self._ready = stream, None, deque(range(n))
        nothing = {name: np.zeros(n, dtype=bool) for name in ("terminated", "truncated", "diverged")}
        self._results = nothing | {"obs": obs, "final_obs": np.zeros_like(obs), "reward": np.zeros(n, np.float32)}
        self._results |= {"start": start.cpu().numpy(), "begun": np.ones(n, dtype=bool)}

    def send(self, actions: Any, env_id: Any = None, *, steps: int | Sequence[int] | None = None) -> None:
        """Let rows that were received make a step each. Returns at once; `recv` does the work.

        Args:
            actions: (K, A) in the task's own units; clipped to the action box.
            env_id: long (K,), the rows that take them; by default all, in order.
            steps: denoising steps of these frames, one number or one for each row; by default the environment's own.

        Raises:
            InputError: if something is malformed, or a row has not been received. Nothing was taken then.
            DreamNotReset: before the first `async_reset`.
        """
        stream = self._live()
        rows = np.arange(self.num_envs) if env_id is None else read.read_rows("env_id", env_id, self.num_envs)
        waits = ~stream.moving
        waits[list(self._ready)] = False
        waits[[] if self._arrival is None else self._arrival.rows] = False
        if not waits[rows].all():
            early = rows[~waits[rows]].tolist()[:8]
            raise InputError(f"env_id: expected rows that recv has handed out, got {early}, still under way")
        action = read.read_actions(actions, batch_space(self.single_action_space, len(rows)))
        taken = np.full(len(rows), self.core.steps) if steps is None else _read_steps(steps, len(rows))
        if len(rows):
            with self._room():
                stream.take(rows, torch.from_numpy(action).to(self.device), taken)

    def recv(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """The next `batch_size` rows that are done, first come first served.

        Returns:
            obs (K, ...), reward (K,) float32, terminated (K,), truncated (K,) bool, info. `info["env_id"]` (K,) says
            which rows they are; the rest of it is as with SAME_STEP autoreset, over these K rows: where an episode
            ended, `obs` is the new one's first observation, `info["final_obs"]` the old one's last,
            `info["final_info"]` its last info, and "start" the recorded context that the new one began from.

        Raises:
            InputError: if fewer rows than that are ready or under way; send actions first.
            DreamNotReset: before the first `async_reset`.
            DreamMemoryError: if memory runs out; nothing is lost, and the next `recv` goes on from there.
        """
        stream = self._live()
        arriving = 0 if self._arrival is None else len(self._arrival.rows)
        under_way = len(self._ready) + arriving + int(stream.moving.sum())
        if under_way < self.batch_size:
            raise InputError(
                f"recv: expected at least batch_size = {self.batch_size} rows with actions, got {under_way}; "
                "send theirs first"
            )
        while len(self._ready) < self.batch_size:
            with self._room():
                self._move(stream)
        rows = np.array([self._ready.popleft() for _ in range(self.batch_size)], dtype=np.int64)
        held = {name: values[rows] for name, values in self._results.items()}
        ended, last = held["terminated"] | held["truncated"], {}
        if held["diverged"].any():
            last = {"diverged": held["diverged"], "_diverged": held["diverged"].copy()}
        info: dict[str, Any] = {"env_id": rows, "_env_id": np.ones(len(rows), dtype=bool)}
        if ended.any():
            info |= end_info(held["final_obs"], last, ended)
        if held["begun"].any():
            index = np.flatnonzero(held["begun"])
            info |= start_info(held["start"][index], index, len(rows))
        return held["obs"], held["reward"], held["terminated"], held["truncated"], info

    def step(
        self, actions: Any, env_id: Any = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """`send`, then `recv`."""
        self.send(actions, env_id)
        return self.recv()

    def close(self) -> None:
        """Forget the dreams; may be called again."""
        self.closed, self._stream, self._arrival = True, None, None
        self._ready.clear()
        self._results.clear()

    def __enter__(self) -> AsyncDreamVectorEnv:
        """Itself; closed at the end of the block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()

    def _move(self, stream: DreamStream) -> None:
        """One forward, and what arrives with it put down for `recv`; if it fails half-way, the next call goes on."""
        if self._arrival is None:
            rows, outcome = stream.tick()
            if outcome is None:
                return
            self._arrival = Arrival(rows, *outcome)
        arrival = self._arrival
        rows, ended = arrival.rows, arrival.terminated | arrival.truncated
        if arrival.obs is None:
            arrival.obs = self._observe(stream, rows, diverged=bool(arrival.diverged.any()))
        if ended.any() and arrival.start is None:
            arrival.start = stream.reset_rows(rows[ended]).cpu().numpy()
        first = self._observe(stream, rows[ended]) if ended.any() else None
        results = self._results
        for name in ("reward", "terminated", "truncated", "diverged", "obs"):
            results[name][rows] = getattr(arrival, name)
        results["begun"][rows] = ended
        if first is not None:
            results["final_obs"][rows[ended]] = arrival.obs[ended]
            results["start"][rows[ended]], results["obs"][rows[ended]] = arrival.start, first
        self._arrival = None
        self._ready.extend(rows.tolist())

    def _observe(self, stream: DreamStream, rows: np.ndarray, *, diverged: bool = False) -> np.ndarray:
        seen = stream.observe(rows, self.obs_mode)
        return on_host(seen, self.obs_mode, self.single_observation_space, diverged=diverged)

    def _room(self) -> AbstractContextManager[None]:
        return room_for(self.num_envs, self.core.dreams.row_bytes, self.device)

    def _check_open(self) -> None:
        if self.closed:
            raise read.DreamClosed("env: expected an open environment, got a closed one; make a new one")

    def _live(self) -> DreamStream:
        self._check_open()
        if self._stream is None:
            raise read.DreamNotReset("env: expected async_reset() first, got none; call async_reset(seed=0)")
        return self._stream


def _read_steps(steps: int | Sequence[int], count: int) -> np.ndarray:
    """`steps` as long (count,), each at least 1."""
    array = np.asarray(steps)
    array = np.full(count, array) if array.ndim == 0 else array
    if array.dtype.kind not in "iu" or array.shape != (count,) or (array < 1).any():
        raise InputError(f"steps: expected a positive int, or {count} of them, got {steps!r}")
    return array.astype(np.int64)
