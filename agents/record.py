"""Recording a real task: many environments side by side, whole episodes to the disk, nothing lost on Ctrl-C.

# B envs, K steps, A action size
"""

from __future__ import annotations

import logging
import operator
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import physics
from wmenv.data import DataInfo, Episode, EpisodeStore
from wmenv.errors import DataError, InputError

from .record_policy import Actor, OpenLoop, RandomActions, StoredPolicy, ZeroActions, checked_actions, parse_repeat
from .record_pool import EpisodeCutter, RecordPool, Rows

logger = logging.getLogger(__name__)

_MESSAGE_SECONDS = 0.2  # long enough to work while the last message is stored, short enough for a Ctrl-C
_MESSAGE_BYTES = 32 * 2**20
_BATCH_STEPS = 2000
_BATCH_SECONDS = 10.0
_BATCH_BYTES = 256 * 2**20


def record(
    task: str,
    steps: int,
    policy: str | Path | Actor,
    out: str | Path,
    *,
    obs: str = "frames",
    num_envs: int = 8,
    num_processes: int | None = None,
    seed: int = 0,
    size: int = 64,
    world: physics.World | Mapping[str, Any] | None = None,
    progress: bool = True,
) -> EpisodeStore:
    """Records a real task into a data set; a folder that holds one of the same task is continued.

    Every stored episode survives SIGKILL; episodes are gathered for 2,000 steps or 10 s before they are stored. The
    data depend on `seed`, `num_envs` and the number of episodes that were there before, not on timing.

    Args:
        task: Gymnasium id of a real task.
        steps: Steps to record, all environments together; the last ones may overshoot by less than `num_envs`.
            Episodes that are under way then are kept as cut off (neither terminated nor truncated).
        policy: "random", "random:N" (each action held for N steps), "zero", the folder of a saved policy (its
            actions are sampled), or an object with `reset(mask)` and `act(obs)`.
        out: The data set's folder.
        obs: "frames" records camera and state, "state" the state alone.
        num_envs: B, environments side by side.
        num_processes: Processes to put them in; by default one a core.
        seed: Of resets and random actions.
        size: Edge of a frame in pixels.
        world: How the simulation differs from the nominal one.
        progress: Show a progress bar on stderr.

    Returns:
        The data set, open.

    Raises:
        InputError: An argument is wrong.
        TaskError: There is no such task, or it cannot be made.
        DataError: `out` holds something else, is damaged, or the disk is full; what was stored before is intact.
        KeyboardInterrupt: Ctrl-C came; the episodes that had ended are stored and the message says where.
    """
    steps, num_envs, seed = _integer("steps", steps, 1), _integer("num_envs", num_envs, 1), _integer("seed", seed, 0)
    processes = min(num_envs, _cores() if num_processes is None else _integer("num_processes", num_processes, 1))
    if obs not in ("frames", "state"):
        raise InputError(f"obs: expected 'frames' or 'state', got {obs!r}")
    options: dict[str, Any] = {"obs": obs}
    if obs == "frames":
        options["size"] = _integer("size", size, 8)
    if world is not None:
        options["world"] = world
    try:
        env = gymnasium.make(task, **options) if task in gymnasium.registry else physics.make_task(task, **options)
    except (TypeError, gymnasium.error.Error) as error:
        raise InputError(f"task: expected a task of `physics.task_ids()`, got {task!r}: {str(error)[:200]}") from error
    try:
        spec, info = env.spec, _describe(env, task, size if obs == "frames" else None, policy, seed)
    finally:
        env.close()
    assert spec is not None
    low, high = (np.asarray(x, np.float32) for x in (info.action_low, info.action_high))

    def chooser(entropy: list[tuple[int, ...]]) -> Actor | OpenLoop:
        if not isinstance(policy, (str, Path)):
            return policy
        if str(policy) == "zero":
            return ZeroActions(low, high, num_envs)
        if str(policy).partition(":")[0] == "random":
            return RandomActions(low, high, entropy, parse_repeat(str(policy)))
        return StoredPolicy(Path(policy), task=task, obs=obs, size=size, num_envs=num_envs, seed=seed)

    store = _existing(Path(out), info)
    before = 0 if store is None else store.num_episodes  # a second recording with the same seed gives new episodes
    actor = chooser([(seed, before, i, 1) for i in range(num_envs)])
    if store is None:
        store = EpisodeStore.create(out, info)
    pool = RecordPool(spec, [(seed, before, i, 0) for i in range(num_envs)], processes)
    session = _Session(store, pool, num_envs, -(-steps // num_envs), low, high)
    try:
        with _bar(progress, steps, task) as show, _interruptible() as stop:
            session.run(actor, show, stop, reads=getattr(actor, "reads", obs))
    finally:
        pool.close()
        session.store_finished()
    if stop.is_set():
        message = f"recording stopped; {store.num_episodes} episodes ({store.num_steps} steps) are in {out}"
        raise KeyboardInterrupt(message)
    return store


class _Session:
    """One recording under way."""

    def __init__(
        self,
        store: EpisodeStore,
        pool: RecordPool,
        num_envs: int,
        rounds: int,
        low: NDArray[np.float32],
        high: NDArray[np.float32],
    ) -> None:
        self._store, self._pool, self._num_envs, self._left = store, pool, num_envs, rounds
        self._low, self._high = low, high
        self._cutters = [EpisodeCutter() for _ in range(num_envs)]
        self._finished: list[Episode] = []
        self._steps, self._bytes = 0, 0  # of the finished episodes
        self._stored_at = time.monotonic()

    def run(self, actor: Actor | OpenLoop, show: Any, stop: threading.Event, *, reads: str) -> None:
        """Records until the steps are done or `stop` is set."""
        rows = self._pool.receive()
        self._take(rows, np.zeros((0, self._num_envs, len(self._low)), np.float32))
        if hasattr(actor, "actions"):
            self._run_open(actor, show, stop)
        else:
            self._run_closed(actor, show, stop, rows, reads)
        if not stop.is_set():
            for cutter in self._cutters:
                self._finished += cutter.finish()

    def store_finished(self) -> None:
        """Stores the episodes that have ended."""
        episodes, self._finished, self._steps, self._bytes = self._finished, [], 0, 0
        self._store.append(episodes)
        self._stored_at = time.monotonic()

    def _run_open(self, actor: OpenLoop, show: Any, stop: threading.Event) -> None:
        """The processes work on the next message while this one cuts and stores the last."""
        size = self._store.info.size or 0
        most = max(1, _MESSAGE_BYTES // (self._num_envs * (3 * size * size + 1024)))

        def send(count: int) -> NDArray[np.float32] | None:
            count = 0 if stop.is_set() else min(count, most, self._left)
            if count == 0:
                return None
            self._left -= count
            actions = actor.actions(count)
            self._pool.send(actions)
            return actions

        count = 4
        under_way, begun = send(count), time.monotonic()
        while under_way is not None:
            rows, actions = self._pool.receive(), under_way
            took, begun = time.monotonic() - begun, time.monotonic()
            count = min(most, 2 * count) if took < _MESSAGE_SECONDS else max(1, count // 2)
            under_way = send(count)
            self._take(rows, actions)
            show(actions.shape[0] * actions.shape[1])

    def _run_closed(self, actor: Actor, show: Any, stop: threading.Event, rows: list[Rows], reads: str) -> None:
        while self._left and not stop.is_set():
            actor.reset(np.array([bool(stream["first"][-1]) for stream in rows]))
            chosen = actor.act(np.stack([stream[reads][-1] for stream in rows]))
            actions = checked_actions(chosen, self._low, self._high, self._num_envs)[None]
            self._left -= 1
            self._pool.send(actions)
            rows = self._pool.receive()
            self._take(rows, actions)
            show(self._num_envs)

    def _take(self, rows: list[Rows], actions: NDArray[np.float32]) -> None:
        ended = [
            (at, i, episode)
            for i, (cutter, stream) in enumerate(zip(self._cutters, rows, strict=True))
            for at, episode in cutter.feed(stream, actions[:, i])
        ]
        for _, _, episode in sorted(ended, key=lambda item: item[:2]):  # the order must not tell the message's length
            self._finished.append(episode)
            self._steps += episode.num_steps
            self._bytes += 0 if episode.frames is None else episode.frames.nbytes
            if self._steps >= _BATCH_STEPS or self._bytes >= _BATCH_BYTES:
                self.store_finished()
        if self._finished and time.monotonic() - self._stored_at > _BATCH_SECONDS:
            self.store_finished()


def _describe(env: gymnasium.Env, task: str, size: int | None, policy: object, seed: int) -> DataInfo:
    base, box = env.unwrapped, env.action_space
    missing = [name for name in ("state_names", "state_groups", "fps") if not hasattr(base, name)]
    if missing or not isinstance(box, gymnasium.spaces.Box) or len(box.shape) != 1:
        raise InputError(f"task: expected a task that tells its state, got {task} without {missing}; see register_task")
    if not np.isfinite([box.low, box.high]).all():
        raise InputError(f"task: expected finite action bounds, got {box}; give the actuators a ctrlrange")
    world = getattr(base, "world", None)
    nominal = world is None or getattr(world, "nominal", False)
    return DataInfo(
        task=task,
        fps=base.fps,  # type: ignore[attr-defined]
        size=size,
        state_names=tuple(base.state_names),  # type: ignore[attr-defined]
        state_groups=tuple(base.state_groups),  # type: ignore[attr-defined]
        action_low=tuple(map(float, box.low)),
        action_high=tuple(map(float, box.high)),
        max_episode_steps=env.spec.max_episode_steps if env.spec else None,
        policy=str(policy) if isinstance(policy, (str, Path)) else type(policy).__name__,
        seed=seed,
        world={} if nominal else world.to_dict(),
    )


def _existing(out: Path, info: DataInfo) -> EpisodeStore | None:
    """The data set at `out` when there is one, and it is of the same task, world and shapes."""
    if not (out / "meta" / "info.json").exists():
        return None
    store = EpisodeStore.open(out, task=info.task)
    for field in store.info.differences(info):
        here, new = getattr(store.info, field), getattr(info, field)
        raise DataError(f"{out}: {field}: expected {here} as recorded there, got {new}; record into another folder")
    return store


@contextmanager
def _bar(wanted: bool, steps: int, task: str) -> Iterator[Any]:
    """A progress bar on stderr; yields what adds steps to it."""
    if not wanted:
        yield lambda count: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f} steps/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        line, begun = bar.add_task(f"record {task}", total=steps, rate=0.0), time.monotonic()
        done = 0

        def show(count: int) -> None:
            nonlocal done
            done += count
            bar.update(line, completed=min(done, steps), rate=done / max(time.monotonic() - begun, 1e-9))

        yield show


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turns the first Ctrl-C into a flag, so that it never cuts a write in two; the second one raises."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(signum: int, frame: Any) -> None:
        stop.set()
        signal.signal(signal.SIGINT, old)

    old = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, old)


def _integer(name: str, value: object, least: int) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise InputError(f"{name}: expected an integer >= {least}, got {value!r}")
    return number


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
