"""The parent's side of a recording: processes with real environments, and the cutting of their streams into episodes.

# B envs, P processes, K steps, A action size, M rows of a stream
"""

from __future__ import annotations

import logging
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from wmenv import Episode, WmenvError

logger = logging.getLogger(__name__)

Rows = dict[str, NDArray]
"""A piece of one environment's stream, column by column, (M, ...)."""


class RecordPool:
    """B environments in P processes. What comes back depends on the seed and on B, not on P.

    Args:
        spec: The environment, as `gymnasium.make` noted it.
        entropy: For each of the B environments the integers from which its seeds derive.
        num_processes: P; the environments are dealt out evenly.
        options: Further arguments of `gymnasium.make`.
    """

    def __init__(
        self,
        spec: EnvSpec,
        entropy: Sequence[tuple[int, ...]],
        num_processes: int,
        options: dict[str, Any] | None = None,
    ) -> None:
        self._processes: list[subprocess.Popen] = []
        self._connections: list[Connection] = []
        self._shares = [len(part) for part in np.array_split(np.arange(len(entropy)), num_processes)]
        at = 0
        for share in self._shares:
            setup = {
                "path": sys.path,
                "spec": pickle.dumps(spec),
                "options": options or {},
                "entropy": entropy[at : at + share],
            }
            at += share
            ours, theirs = multiprocessing.Pipe()
            # Not multiprocessing.Process: it would import this package, and with it torch, in every child.
            command = [sys.executable, str(Path(__file__).with_name("worker.py")), str(theirs.fileno())]
            self._processes.append(subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL))
            theirs.close()
            ours.send_bytes(pickle.dumps(setup))
            self._connections.append(ours)

    def send(self, actions: NDArray[np.float32]) -> None:
        """Has all environments take K steps with `actions` (K, B, A); `receive` fetches the outcome."""
        for connection, part in zip(self._connections, np.split(actions, self._cuts, axis=1), strict=True):
            try:
                connection.send(part)
            except OSError:
                pass  # `receive` says why the process is gone

    def receive(self) -> list[Rows]:
        """The streams since the last call, one for each environment; the first call gives the first observations.

        Raises:
            WmenvError: A process failed or died.
        """
        streams: list[Rows] = []
        for number, connection in enumerate(self._connections):
            try:
                kind, payload, *rest = pickle.loads(connection.recv_bytes())
            except (EOFError, OSError) as error:
                code = self._processes[number].wait(timeout=10)
                raise WmenvError(f"recording: expected process {number} to answer, got its end ({code})") from error
            if kind == "error":
                logger.debug("%s", rest[0])
                raise WmenvError(f"recording: the task failed in process {number}: {payload}")
            streams += payload
        return streams

    def close(self) -> None:
        """Ends the processes."""
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def _cuts(self) -> list[int]:
        return np.cumsum(self._shares)[:-1].tolist()


class EpisodeCutter:
    """Cuts one environment's stream of rows into episodes; the terminal observation is a row like any other."""

    def __init__(self) -> None:
        self._rows: list[Rows] = []
        self._actions: list[NDArray[np.float32]] = []
        self._steps = 0

    def feed(self, rows: Rows, actions: NDArray[np.float32]) -> list[tuple[int, Episode]]:
        """Takes the next piece of the stream.

        Args:
            rows: M rows: one for each action, and one for each episode that begins.
            actions: (K, A) that were taken, in order.

        Returns:
            The episodes that ended, each behind the number of steps that its environment had taken then.
        """
        finished = []
        starts = np.flatnonzero(rows["first"])
        bounds = [0, *starts, len(rows["first"])] if len(starts) == 0 or starts[0] else [*starts, len(rows["first"])]
        used = 0
        for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
            fresh = bool(rows["first"][begin])
            if fresh:
                finished += [(self._steps, episode) for episode in self.finish()]
            count = int(end - begin) - fresh
            self._rows.append({key: value[begin:end] for key, value in rows.items()})
            self._actions.append(actions[used : used + count])
            used += count
            self._steps += count
        assert used == len(actions), "every action leads to one row"
        return finished

    def finish(self) -> list[Episode]:
        """Ends the episode under way where it stands: the episode, or none when it has no step."""
        rows, actions = self._rows, self._actions
        self._rows, self._actions = [], []
        if sum(map(len, actions)) == 0:
            return []
        joined = {key: np.concatenate([part[key] for part in rows]) for key in rows[0]}
        action = np.concatenate(actions)
        if joined["diverged"][-1]:  # the simulator's numbers are no observation: cut off before them
            joined = {key: value[:-1] for key, value in joined.items()}
            action = action[:-1]
            if len(action) == 0:
                return []
        return [
            Episode(
                state=joined["state"],
                frames=joined.get("frames"),
                action=action,
                reward=joined["reward"][1:],
                terminated=bool(joined["terminated"][-1]),
                truncated=bool(joined["truncated"][-1]),
                qpos=joined["qpos"],
                qvel=joined["qvel"],
                start_seed=int(joined["seed"][0]),
            )
        ]
