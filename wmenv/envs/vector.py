"""Many dreams as one Gymnasium VectorEnv: one batched step of the world model is one step of every environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from kernels import Codec

from ..cache import PagesExhausted
from ..errors import InputError
from ..memory import keep_freed_memory
from . import options as read
from .core import CoreState, fork_row
from .faces import on_host, row_streams
from .infos import end_info, start_info, verdict_info
from .model import device_of, resolve_model
from .room import KEPT, DreamMemoryError, room_for
from .snapshot import DreamSnapshot, check_snapshot
from .verdict import TRUNCATE_ABOVE, Judge, Verifier

GONE = "The dreams that were there are gone: reset them"
SOME_GONE = "The masked dreams are gone: reset them with their mask; the others are as they were"
WAITING = "The step was made and its outcome is gone; the rows that have ended wait for reset with their mask"


class DreamVectorEnv(VectorEnv):
    """`num_envs` dreams of one world model, stepped together.

    Environment i draws all its randomness from its own seed, so it dreams the same alone, among 64 and among 1,024: the
    same noise always, and the same floats with `batch_invariant=True` (forwards then run in chunks of one size, which
    costs copies; it holds on one machine with one number of torch threads).

    Actions outside the box are clipped to it, as MuJoCo clips controls to their range. An action that is not finite, or
    of another shape or kind, is an InputError and nothing is stepped. A row in which the model gives a number that is
    not finite is truncated, its reward is 0, and `info["diverged"]` marks it (its last info, where it begins anew).

    With a verifier, `info["physics"]` (N,) says of each row's step how far it is from what is possible; 1.0 is as good
    as real. A row whose score passes `truncate_above`, or is not finite, is marked by `info["impossible"]` and has not
    taken the step: it is truncated with reward 0, and its observation stays what it was.

    Args:
        model: a folder written by `WorldModel.save_pretrained`, or a world model.
        num_envs: number of dreams, at least 1.
        obs: "latent" (what policies learn from), or what the model decodes: "frames" or "state" (SI units).
        horizon: steps until an episode is truncated; by default the task's own limit, or 1,000.
        steps: denoising steps of each frame; by default the model's own.
        device: "cpu", "cuda" or "auto" (a folder goes to the GPU when there is one, a model stays where it is).
        starts: "any" recorded context, or "initial": only those that end at an episode's first observation.
        batch_invariant: equal floats in every batch size, at the price of speed.
        autoreset_mode: SAME_STEP, or DISABLED: then an ended row waits for `reset(options={"reset_mask": mask})`.
        render_mode: "rgb_array" for frame models.
        max_episode_steps: Gymnasium's name for an upper bound on `horizon`.
        verifier: judges every step, such as `physics.DreamVerifier(task)`; None: nothing does.
        truncate_above: what a score must pass to be impossible; None: scores are only shown.
        cache: "ring": each dream has a memory of its own, which is fastest on a CPU. "paged": forks and dreams that
            began from the same context share what they remember, stored by a codec.
        codec: how pages are stored: "fp32" (the default), "bf16", "fp16", "int8", "int4", "int2" (fitted to the
            recorded contexts), or a codec of `kernels`.
        pages: frames that fit into the pool of a paged cache; by default as many as can ever be needed. With fewer, a
            step raises PagesExhausted when dreams share too little; nothing is lost then.
        commit: "lazy": what a frame is remembered by is computed with the next frame, a forward less. "eager": at once.
            Both dream the same, to rounding.

    Raises:
        InputError: if an option is out of range.
        CheckpointError: if `model` is a folder without a sound model.

    Example:
        >>> envs = gym.make_vec("wmenv/Dream-v0", num_envs=64, model="runs/demo/model")  # doctest: +SKIP
        >>> obs, info = envs.reset(seed=0)  # doctest: +SKIP
        >>> obs, reward, terminated, truncated, info = envs.step(envs.action_space.sample())  # doctest: +SKIP
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        model: Any,
        num_envs: int = 1,
        *,
        obs: str = "latent",
        horizon: int | None = None,
        steps: int | None = None,
        device: str = "auto",
        starts: str = "any",
        batch_invariant: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        verifier: Verifier | None = None,
        truncate_above: float | None = TRUNCATE_ABOVE,
        cache: str = "ring",
        codec: str | Codec | None = None,
        pages: int | None = None,
        commit: str = "lazy",
    ) -> None:
        self.num_envs = read.read_count("num_envs", num_envs)
        self.autoreset_mode = read.read_autoreset(autoreset_mode)
        model = resolve_model(model, device)
        self.single_observation_space = read.observation_space(model, obs)
        self.single_action_space = read.action_space(model)
        read.check_render_mode(model, render_mode)
        self.core = read.make_core(
            model,
            self.num_envs,
            horizon=horizon,
            limit=max_episode_steps,
            steps=steps,
            starts=starts,
            batch_invariant=batch_invariant,
            cache=cache,
            codec=codec,
            pages=pages,
            commit=commit,
        )
        self._judge = None if verifier is None else Judge(verifier, truncate_above, self.core)
        self.obs_mode, self.render_mode, self.device = obs, render_mode, device_of(model)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.metadata = {
            "render_modes": ["rgb_array"] if model.config.modality == "frames" else [],
            "render_fps": model.config.fps,
            "autoreset_mode": self.autoreset_mode,
        }
        self._state: CoreState | None = None
        self._ended = np.zeros(self.num_envs, dtype=bool)
        keep_freed_memory()

    @property
    def horizon(self) -> int:
        """Steps after which an episode is truncated."""
        return self.core.horizon

    @property
    def cache_bytes(self) -> int:
        """Bytes of keys and values that are held for each dream, rounded up: of a pool, its share."""
        return -(-self.core.dreams.cache_bytes(self._live_state().dream) // self.num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin new episodes.

        Args:
            seed: environment i is seeded with `seed + i` (or with seed[i]); by default each goes on in its own stream
                of random numbers, or takes seeds from the system when it never had one.
            options: "reset_mask" (N,) bool: only these rows begin anew. "start": an int or long (N,), the recorded
                contexts to begin from (of masked rows only theirs are used).

        Returns:
            Observations (N, ...) and `{"start": (N,) recorded context of each row begun}` with its mask.

        Raises:
            InputError: if a seed or an option is malformed.
            DreamNotReset: if rows are masked before a first full reset.
            DreamMemoryError: if memory runs out; the message says what is left, and how many dreams would fit.
        """
        self._check_open()
        given = dict(options or {})
        mask = given.pop("reset_mask", None)
        mask = np.ones(self.num_envs, dtype=bool) if mask is None else read.read_mask(mask, self.num_envs)
        if self._state is None and not mask.all():
            raise read.DreamNotReset("reset_mask: expected a full reset first, got a masked one; call reset() once")
        start = read.read_starts(given.pop("start", None), self.num_envs, self.core.model.num_starts)
        if given:
            raise InputError(f"options: expected 'reset_mask' or 'start', got {sorted(given)}; leave them out")
        row_seed, counter = self._read_seed(seed, mask)
        index = np.flatnonzero(mask)
        where = None if start is None else self._tensor(start[index])
        with self._anew(mask):
            if self._state is None or mask.all():
                state, begun = self.core.begin(row_seed, counter, where)
            else:
                state = self._state._replace(seed=row_seed, counter=counter)
                rows, begun = self.core.reset_rows(state, self._tensor(index), where)
                state = self.core.write_rows(state, self._tensor(index), rows)
            obs = self._observe(state, diverged=bool((self._ended & ~mask).any()))  # a row that waits may be
        self._state, self._ended = state, self._ended & ~mask
        return obs, start_info(begun.cpu().numpy(), index, self.num_envs)

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of every environment.

        Args:
            actions: (N, A) in the task's own units; clipped to the action box.

        Returns:
            obs (N, ...), reward (N,) float32, terminated (N,), truncated (N,) bool, info. In SAME_STEP mode a row that
            ends is begun anew at once: its `obs` is the new episode's first, `info["final_obs"]` (a plain array of the
            shape of `obs`) holds the ended episode's last, `info["final_info"]` its last info.

        Raises:
            InputError: if the actions are malformed (nothing was stepped then) or the verifier fails (reset then).
            PagesExhausted: if a pool of pages is too small for what these dreams do not share. Nothing was stepped; or,
                if there is no room to begin anew, the rows that have ended wait for `reset` with their mask.
            DreamMemoryError: if memory runs out. Nothing was stepped; or, over pages, what the message says.
            DreamNotReset: before the first reset, or if a row has ended and autoreset is DISABLED.
        """
        state = self._live_state()
        if self._ended.any():
            raise read.DreamNotReset(
                f"step: expected live episodes, got ended rows {np.flatnonzero(self._ended).tolist()[:8]}; "
                'call reset(options={"reset_mask": ended}) first'
            )
        action = torch.from_numpy(read.read_actions(actions, self.action_space)).to(self.device)
        last = None if self._judge is None else (self._observe(state), self._judge.look(state))
        self._state = None  # until all is done: the step consumes it
        try:
            with self._room():
                out = self.core.step(state, action, consume=True)
                reward, terminated, truncated, diverged = out.outcome
                obs = self._observe(out.state, diverged=bool(diverged.any()))
        except (PagesExhausted, DreamMemoryError):  # what was written lies where `state` does not look
            self._state = state
            raise
        info: dict[str, Any] = {}
        if diverged.any():
            info = {"diverged": diverged.copy(), "_diverged": diverged.copy()}
        if self._judge is not None and last is not None:
            score = self._judge.score(last[1], action.cpu().numpy(), self._judge.look(out.state), diverged)
            cut = self._judge.impossible(score)
            obs[cut], reward[cut], terminated[cut], truncated[cut] = last[0][cut], 0.0, False, True
            info |= verdict_info(score, cut)
        ended = terminated | truncated
        if ended.any() and self.autoreset_mode is AutoresetMode.SAME_STEP:
            self._state, self._ended = out.state, ended  # what stays if there is no room to begin anew
            try:
                self._state, info = self._autoreset(out.state, obs, ended, info)
            except DreamMemoryError:
                if self.core.dreams.keeps_last:
                    self._state = state
                    self._ended = np.zeros_like(ended)
                raise
            self._ended = np.zeros_like(ended)
        else:
            self._state, self._ended = out.state, ended
        return obs, reward, terminated, truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The decoded frame of each dream, uint8 (size, size, 3), as Gymnasium wants them; `tile_frames` joins them."""
        if self.render_mode is None:
            return None
        return tuple(self.core.observe(self._live_state(), "frames").cpu().numpy())

    def save_state(self) -> DreamSnapshot:
        """A copy of all rows, random numbers included; `load_state` brings exactly this moment back."""
        with self._room():
            return DreamSnapshot(self.core.keep(self._live_state()), self._ended.copy())

    def load_state(self, snapshot: DreamSnapshot) -> np.ndarray:
        """Go back to a moment that `save_state` kept, of this environment or of one like it.

        Returns:
            The observations (N, ...) of that moment.

        Raises:
            InputError: if it is of another number of environments or of another model's shape.
            PagesExhausted: if a pool is too small for its pages; nothing is lost.
            DreamMemoryError: if memory runs out; the message says what is left.
        """
        self._check_open()
        like = self._state
        with self._anew(np.ones(self.num_envs, dtype=bool)):
            if like is None:
                rows = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
                like, _ = self.core.begin(rows, rows)
            check_snapshot(snapshot, self.core, like)
            state = self.core.restore(snapshot.core)
            obs = self._observe(state, diverged=bool(snapshot.ended.any()))
        self._state, self._ended = state, snapshot.ended.copy()
        return obs

    def fork(self, source: int, targets: Sequence[int], *, reseed: bool | Sequence[int] = False) -> np.ndarray:
        """Let the rows `targets` stand where the row `source` stands.

        Args:
            source: the row that is copied.
            targets: the rows that are overwritten; `source` may be among them.
            reseed: False: they share the source's noise from here on, so equal actions give equal dreams (common
                random numbers). True: each keeps its own seed and counter and goes its own way. A sequence: new seeds,
                one for each target.

        Returns:
            The observations (N, ...) of all rows.

        Raises:
            InputError: if a row or a seed is out of range.
        """
        state = self._live_state()
        rows = read.read_rows("targets", targets, self.num_envs)
        (source,) = read.read_rows("source", [source], self.num_envs)
        keep = isinstance(reseed, bool)
        seed = None if keep else self._tensor(read.read_seeds(reseed, len(rows), optional=False))
        with self._room():
            state = fork_row(state, int(source), self._tensor(rows), seed, keep_seed=keep and bool(reseed))
            obs = self._observe(state, diverged=bool(self._ended.any()))
        self._state = state
        self._ended[rows] = self._ended[source]
        return obs

    def close_extras(self, **kwargs: Any) -> None:
        """Forget the dreams."""
        self._state = None

    def _autoreset(
        self, state: CoreState, obs: np.ndarray, ended: np.ndarray, step_info: dict[str, Any]
    ) -> tuple[CoreState, dict[str, Any]]:
        """New episodes in the rows `ended`; their first observations are written into `obs`."""
        info, index = end_info(obs, step_info, ended), np.flatnonzero(ended)
        rows, left = self._tensor(index), KEPT if self.core.dreams.keeps_last else WAITING
        with self._room(left):
            begun, start = self.core.reset_rows(state, rows)
            first = self._observe(begun)
        obs[ended] = first
        info |= start_info(start.cpu().numpy(), index, self.num_envs)
        return self.core.write_rows(state, rows, begun, consume=True), info

    def _observe(self, state: CoreState, *, diverged: bool = False) -> np.ndarray:
        seen = self.core.observe(state, self.obs_mode)
        return on_host(seen, self.obs_mode, self.single_observation_space, diverged=diverged)

    def _read_seed(
        self, seed: int | Sequence[int | None] | None, mask: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Seed and counter of every row after `reset(seed=seed)`; Gymnasium's own generator is seeded along."""
        new = [None] * self.num_envs if seed is None else read.read_seeds(seed, self.num_envs)
        if seed is not None:
            super().reset(seed=next((one for one in new if one is not None), None))
        asked = [one if chosen else None for one, chosen in zip(new, mask, strict=True)]
        before = None if self._state is None else (self._state.seed, self._state.counter)
        return row_streams(asked, before, lambda: int(self.np_random.integers(2**62)), self.device)

    def _tensor(self, values: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.int64), device=self.device)

    def _room(self, left: str = KEPT) -> AbstractContextManager[None]:
        return room_for(self.num_envs, self.core.dreams.row_bytes, self.device, left=left)

    @contextmanager
    def _anew(self, mask: np.ndarray) -> Iterator[None]:
        """Room for what takes the place of rows (N,); where that writes over them, they are gone if it fails."""
        kept, every = self._state is None or self.core.dreams.keeps_last, mask.all()
        try:
            with self._room(KEPT if kept else GONE if every else SOME_GONE):
                yield
        except DreamMemoryError:
            if not kept:
                self._state, self._ended = None if every else self._state, self._ended | mask
            raise

    def _check_open(self) -> None:
        if self.closed:
            raise read.DreamClosed("env: expected an open environment, got a closed one; make a new one")

    def _live_state(self) -> CoreState:
        self._check_open()
        if self._state is None:
            raise read.DreamNotReset("env: expected reset() before the first step, got none; call reset(seed=0)")
        return self._state
