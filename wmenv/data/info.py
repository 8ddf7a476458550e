"""What a data set is a recording of: written once at its creation, compared at every later use."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..atomic import digest
from ..errors import InputError

_MAX_COORDINATES = 4096
_MAX_SIZE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class DataInfo:
    """The task and the shapes of a data set.

    Args:
        task: Gymnasium id, for example "wmenv/Reacher-v0".
        fps: Observations per second of simulated time, 1 / (control period in s).
        size: Edge of the square frames in pixels, None when there are no frames.
        state_names: One name with its unit for each of the S state coordinates.
        state_groups: The joint, goal or object (0, 1, ...) to which each state coordinate belongs.
        action_low: Lower bound of each of the A action coordinates, in the task's own units.
        action_high: Upper bounds, likewise.
        max_episode_steps: The task's time limit in steps, None when it has none.
        policy: What chose the actions at first ("random", "zero" or a path); for people to read.
        seed: The seed of the first recording.
        world: How the simulated world differs from the nominal one; JSON values, empty for nominal.

    Raises:
        InputError: A field is of the wrong type or out of range.
    """

    task: str
    fps: float
    size: int | None
    state_names: tuple[str, ...]
    state_groups: tuple[int, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    max_episode_steps: int | None
    policy: str
    seed: int
    world: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("state_names", "state_groups", "action_low", "action_high"):
            value = getattr(self, name)
            if isinstance(value, str) or not hasattr(value, "__iter__"):
                raise _wrong(name, "a sequence", value)
            items = tuple(value)
            if not 1 <= len(items) <= _MAX_COORDINATES:
                raise _wrong(name, f"1 to {_MAX_COORDINATES} entries", len(items))
            object.__setattr__(self, name, items)
        _check(isinstance(self.task, str) and 0 < len(self.task) <= 256, "task", "a Gymnasium id", self.task)
        _check(isinstance(self.policy, str), "policy", "a string", self.policy)
        _check(_whole(self.seed) and self.seed >= 0, "seed", "an integer >= 0", self.seed)
        _check(_number(self.fps) and 0 < self.fps <= 1e6, "fps", "a number in (0, 1e6]", self.fps)
        size_ok = self.size is None or (_whole(self.size) and 8 <= self.size <= _MAX_SIZE)
        _check(size_ok, "size", f"None or 8 to {_MAX_SIZE} pixels", self.size)
        limit = self.max_episode_steps
        _check(limit is None or (_whole(limit) and limit > 0), "max_episode_steps", "None or an integer > 0", limit)
        _check(all(isinstance(n, str) for n in self.state_names), "state_names", "strings", self.state_names)
        groups_ok = len(self.state_groups) == len(self.state_names) and all(_whole(g) for g in self.state_groups)
        _check(groups_ok, "state_groups", "one integer for each state name", self.state_groups)
        object.__setattr__(self, "state_groups", tuple(int(g) for g in self.state_groups))
        for name in ("action_low", "action_high"):
            _check(all(_number(x) for x in getattr(self, name)), name, "finite numbers", getattr(self, name))
            object.__setattr__(self, name, tuple(float(x) for x in getattr(self, name)))
        below = [low < high for low, high in zip(self.action_low, self.action_high, strict=False)]
        box_ok = len(self.action_low) == len(self.action_high) and all(below)
        _check(box_ok, "action_high", "one bound above each of action_low", self.action_high)
        object.__setattr__(self, "fps", float(self.fps))
        _check(isinstance(self.world, Mapping), "world", "a mapping", self.world)
        try:
            object.__setattr__(self, "world", json.loads(json.dumps(dict(self.world), allow_nan=False)))
        except (TypeError, ValueError) as error:
            raise _wrong("world", "JSON values with finite numbers", str(error)) from error

    @property
    def state_dim(self) -> int:
        """S, the number of state coordinates."""
        return len(self.state_names)

    @property
    def action_dim(self) -> int:
        """A, the number of action coordinates."""
        return len(self.action_low)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, obj: Any) -> DataInfo:
        """The inverse of `to_json`.

        Raises:
            InputError: A field is missing, unknown or invalid.
        """
        names = {f.name for f in fields(cls)}
        if not isinstance(obj, dict) or set(obj) != names:
            got = sorted(set(obj) ^ names) if isinstance(obj, dict) else type(obj).__name__
            raise InputError(f"info: expected the fields {sorted(names)}, got a difference in {got}")
        return cls(**obj)

    def digest(self) -> str:
        """SHA-256 of the fields: binds the files of a data set to each other."""
        return digest(json.dumps(self.to_json(), sort_keys=True).encode())

    def differences(self, other: DataInfo) -> tuple[str, ...]:
        """The fields in which recordings of `other` may not join this data set; `policy` and `seed` may differ."""
        names = (f.name for f in fields(self) if f.name not in ("policy", "seed"))
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))


def _whole(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _number(value: object) -> bool:
    return not isinstance(value, bool) and hasattr(value, "__float__") and math.isfinite(value)  # type: ignore[arg-type]


def _wrong(name: str, expected: str, got: object) -> InputError:
    return InputError(f"{name}: expected {expected}, got {str(got)[:200]!r}; correct the recording's description")


def _check(condition: bool, name: str, expected: str, got: object) -> None:
    if not condition:
        raise _wrong(name, expected, got)
