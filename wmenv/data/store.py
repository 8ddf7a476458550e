"""Episodes on disk that survive SIGKILL: append is acknowledged by one rename, open repairs what a crash left.

The folder is a LeRobotDataset v3: one parquet file and one lossless video for each append, of as many episodes as the
caller gathered.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..atomic import digest, sync_folder
from ..errors import DataError, InputError
from . import layout
from .append import read_append, write_append
from .commit import Commit
from .episode import Episode
from .folder import (
    RepairReport,
    check_file,
    check_info,
    lock,
    read_commits,
    read_info,
    remove_leftovers,
    write_derived,
)
from .info import DataInfo

logger = logging.getLogger(__name__)


class EpisodeStore:
    """A data set of episodes of one task.

    Make one by `EpisodeStore.create` or `EpisodeStore.open`.

    Example:
        >>> store = EpisodeStore.open("runs/demo/data")   # doctest: +SKIP
        >>> for episode in store:                         # doctest: +SKIP
        ...     print(episode.total_reward)
    """

    def __init__(self, path: Path, info: DataInfo, commits: list[Commit], opened: RepairReport) -> None:
        """For `create` and `open` only."""
        self._path = path
        self._info = info
        self._commits = commits
        self._opened = opened

    @classmethod
    def create(cls, path: Path | str, info: DataInfo) -> EpisodeStore:
        """Makes an empty data set.

        Args:
            path: A folder that does not exist yet, or is empty.
            info: What will be recorded.

        Raises:
            InputError: The folder holds something already, or cannot be made.
            DataError: The disk is full.
        """
        path = Path(path)
        try:
            if path.is_dir() and any(p.name != "meta" for p in path.iterdir()) or (path / layout.INFO).exists():
                raise InputError(f"path: expected a new or empty folder, got {path}; open it or choose another name")
            (path / "meta").mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise InputError(f"path: expected a folder that can be made, got {path} ({error.strerror})") from error
        except OSError as error:
            raise _disk_error(path, error) from error
        try:
            with lock(path, wait=True):
                write_derived(path, info, [])
            sync_folder(path)
            sync_folder(path.parent)
        except OSError as error:
            raise _disk_error(path, error) from error
        return cls(path, info, [], RepairReport())

    @classmethod
    def open(cls, path: Path | str, *, task: str | None = None) -> EpisodeStore:
        """Opens a data set, repairing what a crash left behind.

        Args:
            path: The folder.
            task: The task that it must be a recording of; None for any.

        Raises:
            DataError: No data set, a damaged one (the message names the file), or one of another task.
        """
        path = Path(path)
        info, _ = read_info(path)
        if task is not None and info.task != task:
            raise DataError(f"{path / layout.INFO}: task: expected {task}, got {info.task}; choose its own data set")
        store = cls(path, info, [], RepairReport())
        store._opened = store.repair()
        return store

    @property
    def path(self) -> Path:
        """The folder."""
        return self._path

    @property
    def info(self) -> DataInfo:
        """The task and the shapes."""
        return self._info

    @property
    def opened(self) -> RepairReport:
        """What `open` had to repair."""
        return self._opened

    @property
    def num_episodes(self) -> int:
        """Acknowledged episodes."""
        return self._commits[-1].first_episode + self._commits[-1].num_episodes if self._commits else 0

    @property
    def num_steps(self) -> int:
        """Actions in all acknowledged episodes."""
        return sum(c.num_steps for c in self._commits)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the task and the digests of all acknowledged files: what tells one recording from another."""
        files = [record.sha256 for c in self._commits for record in (c.data, c.video) if record is not None]
        return digest("\n".join((self._info.task, *files)).encode())

    def __len__(self) -> int:
        """As `num_episodes`."""
        return self.num_episodes

    def repair(self) -> RepairReport:
        """Removes the files of unfinished appends and rebuilds what follows from the episodes; idempotent.

        While another process appends, and in a folder that may not be written, it only reads.

        Raises:
            DataError: Files are damaged or missing, which no crash of ours does.
        """
        with lock(self._path, wait=False) as held:
            info, obj = read_info(self._path)
            if info != self._info:
                raise DataError(f"{self._path / layout.INFO}: expected the data set that was opened, got another")
            commits = read_commits(self._path, info)
            for c in commits:
                check_file(self._path, layout.data_path(c.number), c.data)
                if c.video is not None:
                    check_file(self._path, layout.video_path(c.number), c.video)
            check_info(self._path, info, obj, commits)
            self._commits = commits
            if not held:
                return RepairReport()
            try:
                removed = remove_leftovers(self._path, len(commits))
                return RepairReport(removed=tuple(removed), rebuilt=tuple(write_derived(self._path, info, commits)))
            except OSError as error:  # the episodes are whole and readable; only tidying failed
                logger.warning("%s: could not be tidied: %s", self._path, error)
                return RepairReport()

    def append(self, episodes: Sequence[Episode]) -> None:
        """Stores whole episodes; when this returns they survive SIGKILL and a power cut.

        Gather some seconds of recording for each call: it makes one parquet file, one video and flushes both.

        Args:
            episodes: Episodes of this task; none is fine.

        Raises:
            InputError: An episode does not fit `info`.
            DataError: The disk is full or fails; earlier episodes are intact and none of these is stored.
        """
        episodes = list(episodes)
        if not episodes:
            return
        try:
            with lock(self._path, wait=True):
                self._commits = read_commits(self._path, self._info, self._commits)
                self._commits.append(write_append(self._path, self._info, self._commits, episodes))
                try:
                    write_derived(self._path, self._info, self._commits)
                except OSError as error:  # the episodes are safe; the next open rebuilds these files
                    logger.warning("%s: summaries not updated: %s", self._path, error)
        except OSError as error:
            raise _disk_error(self._path, error) from error

    def load(self, max_steps: int | None = None) -> list[Episode]:
        """All episodes in memory, each file read and decoded once, files side by side in threads.

        Args:
            max_steps: Stop after the episode with which this number of steps is reached; None for all.

        Raises:
            DataError: A file is damaged (the message names it).
        """
        wanted, steps = [], 0
        for commit in self._commits:
            wanted.append(commit)
            steps += commit.num_steps
            if max_steps is not None and steps >= max_steps:
                break
        with ThreadPoolExecutor(max(1, min(8, os.cpu_count() or 1))) as pool:
            episodes = [episode for part in pool.map(self._read, wanted) for episode in part]
        if max_steps is None:
            return episodes
        ends = np.cumsum([e.num_steps for e in episodes])
        return episodes[: int(np.searchsorted(ends, max_steps)) + 1]

    def __iter__(self) -> Iterator[Episode]:
        """Episodes in order, one file in memory at a time; see `load` for errors."""
        for commit in list(self._commits):
            yield from self._read(commit)

    def episode(self, index: int) -> Episode:
        """One episode; reads its files and decodes the video from the nearest keyframe.

        Args:
            index: 0 to `num_episodes` - 1.

        Raises:
            InputError: There is no such episode.
            DataError: A file is damaged.
        """
        if not 0 <= index < self.num_episodes:
            raise InputError(f"index: expected 0 to {self.num_episodes - 1}, got {index}; see num_episodes")
        for commit in self._commits:
            if index < commit.first_episode + commit.num_episodes:
                return self._read(commit, index - commit.first_episode)[0]
        raise AssertionError("appends cover all episodes")

    def _read(self, commit: Commit, only: int | None = None) -> list[Episode]:
        return read_append(self._path, self._info, commit, only)


def _disk_error(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{error.filename or path}: expected to write a data set, got {error.strerror or error}; "
        f"free space or mend the disk, then go on: episodes acknowledged before in {path} are intact"
    )
