"""Which tasks there are: the project's own and those that a user registers."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import gymnasium

from ..errors import TaskError
from .spec import TaskSpec
from .table import SPECS

P, R = ParamSpec("P"), TypeVar("R")
MOST_CACHED = 64
_specs: dict[str, TaskSpec] = {spec.id: spec for spec in SPECS}


def task_ids() -> tuple[str, ...]:
    """The ids of all known tasks, the project's own first."""
    return tuple(_specs)


def find_spec(task: object) -> TaskSpec:
    """The spec of a task id.

    Raises:
        TaskError: There is no such task; the message suggests the nearest names.
    """
    if isinstance(task, str) and task in _specs:
        return _specs[task]
    near = difflib.get_close_matches(str(task), _specs, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(_specs)}"
    raise TaskError(f"task: expected a registered task id, got {task!r}; {hint}")


class SpecKey:
    """A spec by identity: its mappings cannot be hashed."""

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpecKey) and other.spec is self.spec

    def __hash__(self) -> int:
        return id(self.spec)


def cached_by_spec(function: Callable[Concatenate[str, P], R]) -> Callable[Concatenate[str, P], R]:
    """Caches `function(task, ...)` by the spec that the id has now: one that is registered anew is another task."""

    @lru_cache(maxsize=MOST_CACHED)
    def cached(key: SpecKey, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(key.spec.id, *args, **kwargs)

    @wraps(function)
    def call(task: str, *args: P.args, **kwargs: P.kwargs) -> R:
        return cached(SpecKey(find_spec(task)), *args, **kwargs)

    return call


def add_spec(spec: TaskSpec) -> None:
    """Make `spec` known here and to Gymnasium, in place of what the id meant before."""
    _specs[spec.id] = spec
    gymnasium.registry.pop(spec.id, None)
    # The spec itself, not its id, so that an environment can be made in a fresh process as well.
    gymnasium.register(
        id=spec.id, entry_point="physics:TaskEnv", max_episode_steps=spec.max_episode_steps, kwargs={"task": spec}
    )


def make_task(task: str, **options: Any) -> gymnasium.Env:
    """Make a task, as `gymnasium.make` does: with the time limit and the checks around it.

    Args:
        task: A task id, such as "wmenv/Hopper-v0".
        **options: `obs`, `size`, `world`, `render_mode` and the other arguments of `TaskEnv`, or of `gymnasium.make`.

    Raises:
        TaskError: There is no such task, or an argument is not what was expected.

    Example:
        >>> env = make_task("wmenv/InvertedPendulum-v0", obs="state")
        >>> env.observation_space.shape
        (4,)
    """
    spec = find_spec(task)
    if spec.id not in gymnasium.registry:
        add_spec(spec)
    return gymnasium.make(spec.id, **options)
