"""Dreams on a GPU are those on a CPU, to rounding: resets, forks, kept moments, every cache, in step and out of step.

The same bodies run on the CPU, so that they are known to be sound where no GPU is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.wmenv.envs.test_paged import tiny
from wmenv import WorldModel
from wmenv.envs import AsyncDreamVectorEnv, DreamVectorEnv

N = 5
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
CACHES = [{}, {"cache": "paged"}, {"cache": "paged", "codec": "int8"}, {"commit": "eager"}, {"batch_invariant": True}]


def in_step(model: WorldModel, **options: Any) -> Iterator[np.ndarray]:
    """Everything that an environment tells through a life with ends, a fork, a way back and a masked reset."""
    envs = DreamVectorEnv(model, N, horizon=5, autoreset_mode="SameStep", **options)

    def steps(count: int) -> Iterator[np.ndarray]:
        for t in range(count):
            obs, reward, terminated, truncated, info = envs.step(np.sin(np.arange(N)[:, None] * 1.7 + t))
            yield from (obs, reward, terminated, truncated, info.get("final_obs", np.zeros(1)))

    yield envs.reset(seed=7)[0]
    yield from steps(7)
    kept = envs.save_state()
    yield envs.fork(0, [2, 3], reseed=[11, 12])
    yield from steps(3)
    yield envs.load_state(kept)
    yield from steps(2)
    yield envs.reset(options={"reset_mask": np.arange(N) % 2 == 0})[0]
    yield from steps(2)
    envs.close()


def out_of_step(model: WorldModel, **options: Any) -> Iterator[np.ndarray]:
    """The same rows in the order of their numbers, whoever was first."""
    envs = AsyncDreamVectorEnv(model, N, batch_size=2, horizon=5, **options)
    envs.async_reset(seed=7)
    taken, told = np.zeros(N), {}
    while len(told) < 4 * N:
        obs, reward, terminated, truncated, info = envs.recv()
        rows = info["env_id"]
        for i, row in enumerate(rows):
            told[row, taken[row]] = np.concatenate((obs[i].ravel(), [reward[i], terminated[i], truncated[i]]))
        envs.send(np.sin(rows[:, None] * 1.7 + taken[rows][:, None]), rows)
        taken[rows] += 1
    yield from (told[key] for key in sorted(told) if key[1] < 3)
    envs.close()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", CACHES, ids=str)
@pytest.mark.parametrize("ends", [False, True])
def test_a_device_dreams_what_the_cpu_dreams(device: str, options: dict[str, Any], ends: bool) -> None:
    coarse = 2e-2 if "codec" in options else 1e-3  # a rounding may lead to the next of a codec's levels
    same(lambda model: in_step(model, **options), device, ends, coarse)


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_dreams_out_of_step_what_the_cpu_dreams(device: str) -> None:
    same(out_of_step, device, ends=True)


def same(life: Callable[[WorldModel], Iterator[np.ndarray]], device: str, ends: bool, atol: float = 1e-3) -> None:
    pairs = zip(life(tiny(2, ends=ends)), life(tiny(2, ends=ends).to(device)), strict=True)
    for want, got in pairs:
        np.testing.assert_allclose(got, want, atol=atol)
