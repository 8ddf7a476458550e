"""The real task and its dreams as two things that can be stepped for a while, so that they are timed alike.

# B envs, K steps, A action size
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np

from .machine import cores
from .real_env import make_task
from .recording.behaviour import RandomActions
from .recording.pool import RecordPool

if TYPE_CHECKING:
    from wmenv import WorldModel

ENVS_A_PROCESS = 4
STEPS_A_MESSAGE = 25


class RealSteps:
    """The real task with what a model reads of it, stepped with random actions in several processes.

    It is stepped as recordings are: many steps a message, one message ahead, the observations brought to this process.

    Args:
        task: Id of the real task.
        model: Its world model, which decides between frames and state.
        processes: How many; by default one a core.
    """

    def __init__(self, task: str, model: WorldModel, processes: int | None = None) -> None:
        self.processes = cores() if processes is None else processes
        envs = ENVS_A_PROCESS * self.processes
        env = make_task(task, model)
        spec, box = env.spec, env.action_space
        env.close()
        assert spec is not None and isinstance(box, gym.spaces.Box)
        self._actions = RandomActions(box.low, box.high, [(0, i, 1) for i in range(envs)])
        self._pool = RecordPool(spec, [(0, i, 0) for i in range(envs)], self.processes)
        self._pool.receive()
        self._count = STEPS_A_MESSAGE * envs
        self._ahead = False

    def step(self) -> int:
        """Takes some steps and says how many."""
        if not self._ahead:
            self._send()
        self._send()
        self._pool.receive()
        self._ahead = True
        return self._count

    def pause(self) -> None:
        """Waits for the message ahead, so that the processes leave the cores to others."""
        if self._ahead:
            self._pool.receive()
            self._ahead = False

    def close(self) -> None:
        """Ends the processes."""
        self._pool.close()

    def _send(self) -> None:
        self._pool.send(self._actions.actions(STEPS_A_MESSAGE))


class DreamSteps:
    """Latent dreams stepped together with random actions.

    Args:
        model: What dreams.
        num_dreams: B.
    """

    def __init__(self, model: WorldModel, num_dreams: int) -> None:
        self._envs = gym.make_vec("wmenv/Dream-v0", num_envs=num_dreams, model=model)
        self._envs.reset(seed=0)
        box = self._envs.single_action_space
        assert isinstance(box, gym.spaces.Box)
        self._actions = RandomActions(box.low, box.high, [(1, i) for i in range(num_dreams)], 1)
        self._drawn = np.zeros((0, num_dreams, *box.shape), np.float32)
        self._next = 0

    def step(self) -> int:
        """Takes one step of every dream and says how many those are."""
        if self._next == len(self._drawn):
            self._drawn, self._next = self._actions.actions(STEPS_A_MESSAGE), 0
        self._envs.step(self._drawn[self._next])
        self._next += 1
        return self._envs.num_envs

    def pause(self) -> None:
        """Nothing goes on between steps."""

    def close(self) -> None:
        """Forgets the dreams."""
        self._envs.close()


def steps_a_second(step: Callable[[], int], seconds: float, *, warm_up: int = 1) -> float:
    """Steps a second of wall time over at least `seconds`, after `warm_up` calls; each call says how many it took."""
    for _ in range(warm_up):
        step()
    done, begun = 0, time.perf_counter()
    while done == 0 or time.perf_counter() - begun < seconds:
        done += step()
    return done / (time.perf_counter() - begun)
