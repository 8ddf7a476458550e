"""One recording under way: actions out, streams in, whole episodes to the disk.

# B envs, K steps, A action size
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wmenv import Episode, EpisodeStore

from ..actor import Actor
from ..progress import Progress
from .behaviour import OpenLoop, checked_actions
from .pool import EpisodeCutter, RecordPool, Rows

_MESSAGE_SECONDS = 0.2  # long enough to work while the last message is stored, short enough for a Ctrl-C
_MESSAGE_BYTES = 32 * 2**20
_BATCH_STEPS = 2000
_BATCH_SECONDS = 10.0
_BATCH_BYTES = 256 * 2**20


class RecordSession:
    """Steps B environments for a number of rounds and stores their episodes as they end.

    Args:
        store: Where the episodes go.
        pool: The environments.
        num_envs: B.
        rounds: Steps of each environment.
    """

    def __init__(self, store: EpisodeStore, pool: RecordPool, num_envs: int, rounds: int) -> None:
        self._store, self._pool, self._num_envs, self._left = store, pool, num_envs, rounds
        self._rounds = rounds
        self._low, self._high = (np.asarray(x, np.float32) for x in (store.info.action_low, store.info.action_high))
        self._cutters = [EpisodeCutter() for _ in range(num_envs)]
        self._finished: list[Episode] = []
        self._steps, self._bytes = 0, 0  # of the finished episodes
        self._stored_at = time.monotonic()

    def run(self, behaviour: Actor | OpenLoop, show: Progress | None, stop: threading.Event, *, reads: str) -> None:
        """Records until the steps are done or `stop` is set."""
        rows = self._pool.receive()
        self._take(rows, np.zeros((0, self._num_envs, len(self._low)), np.float32))
        if isinstance(behaviour, OpenLoop):
            self._run_open(behaviour, show, stop)
        else:
            self._run_closed(behaviour, show, stop, rows, reads)
        if not stop.is_set():
            for cutter in self._cutters:
                self._finished += cutter.finish()

    def store_finished(self) -> None:
        """Stores the episodes that have ended."""
        episodes, self._finished, self._steps, self._bytes = self._finished, [], 0, 0
        self._store.append(episodes)
        self._stored_at = time.monotonic()

    def _run_open(self, behaviour: OpenLoop, show: Progress | None, stop: threading.Event) -> None:
        """The processes work on the next message while this one cuts and stores the last."""
        size = self._store.info.size or 0
        most = max(1, _MESSAGE_BYTES // (self._num_envs * (3 * size * size + 1024)))

        def send(count: int) -> NDArray[np.float32] | None:
            count = 0 if stop.is_set() else min(count, most, self._left)
            if count == 0:
                return None
            self._left -= count
            actions = behaviour.actions(count)
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
            self._tell(show)

    def _run_closed(
        self, behaviour: Actor, show: Progress | None, stop: threading.Event, rows: list[Rows], reads: str
    ) -> None:
        while self._left and not stop.is_set():
            behaviour.reset(np.array([bool(stream["first"][-1]) for stream in rows]))
            chosen = behaviour.act(np.stack([stream[reads][-1] for stream in rows]))
            actions = checked_actions(chosen, self._low, self._high, self._num_envs)[None]
            self._left -= 1
            self._pool.send(actions)
            rows = self._pool.receive()
            self._take(rows, actions)
            self._tell(show)

    def _tell(self, show: Progress | None) -> None:
        if show is not None:
            done = (self._rounds - self._left) * self._num_envs
            episodes = self._store.num_episodes + len(self._finished)
            show(done, self._rounds * self._num_envs, {"episodes": episodes})

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


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Turns the first Ctrl-C or SIGTERM into a flag, so that it never cuts a write in two; the next one acts as ever.

    SIGTERM is left alone where nobody handles it: then it ends the process, which loses no stored episode.
    """
    stop = threading.Event()
    numbers = [signal.SIGINT, *([signal.SIGTERM] if callable(signal.getsignal(signal.SIGTERM)) else [])]
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        came.append(number)
        stop.set()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stop
    finally:
        restore()
    if came and came[0] != signal.SIGINT:
        with suppress(KeyboardInterrupt):  # raised again by `record`, with a message; the handler may note the signal
            signal.raise_signal(came[0])
