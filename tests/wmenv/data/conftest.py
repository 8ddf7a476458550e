"""Small data sets whose every number follows from a seed, so that what is read back can be compared bit for bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wmenv.data import DataInfo, Episode, EpisodeStore

SIZE = 16


def make_info(**changes: Any) -> DataInfo:
    """Two state coordinates, one action, frames of 16 pixels."""
    fields: dict[str, Any] = {
        "task": "wmenv/Stub-v0",
        "fps": 25.0,
        "size": SIZE,
        "state_names": ("qpos:slider [m]", "qvel:slider [m/s]"),
        "state_groups": (0, 0),
        "action_low": (-3.0,),
        "action_high": (3.0,),
        "max_episode_steps": 100,
        "policy": "random",
        "seed": 7,
        "world": {"mass": 1.2},
    }
    return DataInfo(**(fields | changes))


def make_episode(seed: int, steps: int | None = None, **changes: Any) -> Episode:
    """An episode that follows from `seed`; noise in the frames, so that a lossy codec could not hide."""
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(1, 9)) if steps is None else steps
    terminated = bool(rng.integers(2))
    fields: dict[str, Any] = {
        "state": rng.normal(size=(steps + 1, 2)).astype(np.float32),
        "frames": rng.integers(0, 256, (steps + 1, SIZE, SIZE, 3), np.uint8),
        "action": rng.uniform(-3, 3, (steps, 1)).astype(np.float32),
        "reward": rng.normal(size=steps),
        "terminated": terminated,
        "truncated": not terminated and bool(rng.integers(2)),
        "qpos": rng.normal(size=(steps + 1, 2)),
        "qvel": rng.normal(size=(steps + 1, 3)),
        "start_seed": seed if seed % 3 else None,
    }
    return Episode(**(fields | changes))


def assert_same(got: Episode, want: Episode) -> None:
    """Every array bit-equal and of the same type, every flag equal."""
    for name in ("state", "action", "reward", "qpos", "qvel", "frames"):
        a, b = getattr(got, name), getattr(want, name)
        if b is None:
            assert a is None
            continue
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=name)
    for name in ("terminated", "truncated", "start_seed"):
        assert getattr(got, name) == getattr(want, name), name


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Episode]]:
    """The original of `data`, flushed to the disk once."""
    path = tmp_path_factory.mktemp("made") / "data"
    episodes = [make_episode(seed) for seed in range(10)]
    store = EpisodeStore.create(path, make_info())
    for part in (episodes[:4], episodes[4:5], episodes[5:]):
        store.append(part)
    return path, episodes


@pytest.fixture
def data(tmp_path: Path, made: tuple[Path, list[Episode]]) -> tuple[Path, list[Episode]]:
    """A data set of three appends (4, 1 and 5 episodes), and its episodes."""
    shutil.copytree(made[0], tmp_path / "data")
    return tmp_path / "data", made[1]


@pytest.fixture
def info() -> Callable[..., DataInfo]:
    """`make_info`."""
    return make_info


@pytest.fixture
def episode() -> Callable[..., Episode]:
    """`make_episode`."""
    return make_episode


@pytest.fixture
def same() -> Callable[[Episode, Episode], None]:
    """`assert_same`."""
    return assert_same
