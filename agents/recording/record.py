"""Recording a real task: many environments side by side, whole episodes to the disk, nothing lost on Ctrl-C.

# B envs, K steps, A action size
"""

from __future__ import annotations

import operator
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import physics
from wmenv import DataError, DataInfo, EpisodeStore, InputError

from ..actor import Actor
from ..machine import cores
from ..progress import progress_bar
from .behaviour import OpenLoop, RandomActions, StoredPolicy, ZeroActions, parse_repeat
from .explore import ExploringActions
from .pool import RecordPool
from .session import RecordSession, interruptible


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
        policy: "random", "random:N" (each action held for N steps), "explore" (gentle and
            violent stretches, see explore.py), "zero", the folder of a saved policy (it acts
            with more or less of its noise, see behaviour.py), or an object with `reset(mask)` and `act(obs)`.
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
    processes = min(num_envs, cores() if num_processes is None else _integer("num_processes", num_processes, 1))
    if obs not in ("frames", "state"):
        raise InputError(f"obs: expected 'frames' or 'state', got {obs!r}")
    options: dict[str, Any] = {"obs": obs}
    if obs == "frames":
        options["size"] = _integer("size", size, 8)
    if world is not None:
        options["world"] = world
    spec, info = _look_at(task, options, policy, seed)
    store = _existing(Path(out), info)
    before = 0 if store is None else store.num_episodes  # a second recording with the same seed gives new episodes
    behaviour = _behaviour(policy, info, num_envs, seed, [(seed, before, i, 1) for i in range(num_envs)])
    if store is None:
        store = EpisodeStore.create(out, info)
    pool = RecordPool(spec, [(seed, before, i, 0) for i in range(num_envs)], processes)
    session = RecordSession(store, pool, num_envs, -(-steps // num_envs))
    try:
        with progress_bar(f"record {task}", wanted=progress) as show, interruptible() as stop:
            session.run(behaviour, show, stop, reads=getattr(behaviour, "reads", obs))
    finally:
        pool.close()
        session.store_finished()
    if stop.is_set():
        message = f"recording stopped; {store.num_episodes} episodes ({store.num_steps} steps) are in {out}"
        raise KeyboardInterrupt(message)
    return store


def _look_at(
    task: str, options: dict[str, Any], policy: object, seed: int
) -> tuple[gymnasium.envs.registration.EnvSpec, DataInfo]:
    """How processes make the task, and what a data set of it says."""
    try:
        env = gymnasium.make(task, **options) if task in gymnasium.registry else physics.make_task(task, **options)
    except (TypeError, gymnasium.error.Error) as error:
        raise InputError(
            f"task: expected a task of `physics.task_ids()`, got {task!r} ({str(error)[:200]}); "
            "physics.register_task makes one of a Gymnasium id or an MJCF file"
        ) from error
    try:
        assert env.spec is not None
        _check_travels(env.spec, task)
        return env.spec, _describe(env, task, options.get("size"), policy, seed)
    finally:
        env.close()


def _check_travels(spec: gymnasium.envs.registration.EnvSpec, task: str) -> None:
    """Refuses a task that the recording's processes could not make."""
    try:
        lost = b"__main__" in pickle.dumps(spec)
    except (pickle.PicklingError, AttributeError, TypeError):  # all three, by what cannot be pickled
        lost = True
    if lost:
        raise InputError(
            f"task: expected one that other processes can make, got {task}, one of whose functions they cannot import; "
            "define its functions in a module, not as a lambda, in a function, a script or a notebook"
        )


def _behaviour(
    policy: str | Path | Actor, info: DataInfo, num_envs: int, seed: int, entropy: list[tuple[int, ...]]
) -> Actor | OpenLoop:
    """What `policy` names, for a recording like `info`."""
    low, high = (np.asarray(x, np.float32) for x in (info.action_low, info.action_high))
    if not isinstance(policy, (str, Path)):
        return policy
    if str(policy) == "zero":
        return ZeroActions(low, high, num_envs)
    if str(policy) == "explore":
        return ExploringActions(low, high, entropy)
    if str(policy).partition(":")[0] == "random":
        return RandomActions(low, high, entropy, parse_repeat(str(policy)))
    return StoredPolicy(Path(policy), task=info.task, size=info.size, num_envs=num_envs, seed=seed)


def _describe(env: gymnasium.Env, task: str, size: int | None, policy: object, seed: int) -> DataInfo:
    base, box = env.unwrapped, env.action_space
    missing = [name for name in ("state_names", "state_groups", "fps") if not hasattr(base, name)]
    if missing or not isinstance(box, gymnasium.spaces.Box) or len(box.shape) != 1:
        raise InputError(f"task: expected a task that tells its state, got {task} without {missing}; see register_task")
    if not np.isfinite([box.low, box.high]).all():
        raise InputError(f"task: expected finite action bounds, got {box}; give the actuators a ctrlrange")
    world = getattr(base, "world", None)
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
        world={} if world is None or world.nominal else world.to_dict(),
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


def _integer(name: str, value: object, least: int) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise InputError(f"{name}: expected an integer >= {least}, got {value!r}")
    return number
