"""A data set's folder: reading its files with suspicion, removing what a killed writer left, rebuilding what follows.

What a crash can leave (temporary files, files of an append that was not acknowledged, stale counts) is repaired. What
a crash cannot leave (missing, altered or foreign files) is damage: a DataError that names the file.
"""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..atomic import TEMPORARY_PREFIX, digest, write_bytes
from ..errors import DataError, InputError
from . import layout
from .commit import Commit, FileRecord, decode_commit
from .info import DataInfo
from .stats import merge

logger = logging.getLogger(__name__)

_MAX_META_BYTES = 256 * 2**20
_FIX = "restore the file from a copy or record anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """What `repair` did; both are empty for a sound data set.

    Args:
        removed: Files of unfinished appends, relative to the data set.
        rebuilt: Files that follow from the episodes and did not agree with them.
    """

    removed: tuple[str, ...] = ()
    rebuilt: tuple[str, ...] = ()


def read_file(root: Path, name: str, record: FileRecord | None = None) -> bytes:
    """The bytes of a file of the data set.

    Args:
        root: The data set.
        name: The file, relative to it.
        record: The size and digest that the bytes must have; without it only a bound on the size holds.

    Raises:
        DataError: The file is missing, no regular file, too large, or not the one recorded.
    """
    path = root / name
    check_file(root, name, record)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got {error.strerror}; {_FIX}") from error
    if record is not None and digest(data) != record.sha256:
        raise DataError(f"{path}: expected the bytes that were recorded, got altered or foreign bytes; {_FIX}")
    return data


def check_file(root: Path, name: str, record: FileRecord | None = None) -> None:
    """Checks that a file is there and of the right size, without reading it (see `read_file`)."""
    path = root / name
    try:
        found = os.stat(path)
    except OSError as error:
        raise DataError(f"{path}: expected a file of the data set, got {error.strerror}; {_FIX}") from error
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{path}: expected a regular file, got another kind of entry; {_FIX}")
    if record is not None and found.st_size != record.size:
        raise DataError(f"{path}: expected {record.size} bytes, got {found.st_size}; {_FIX}")
    if found.st_size > (record.size if record else _MAX_META_BYTES):
        raise DataError(f"{path}: expected at most {_MAX_META_BYTES} bytes, got {found.st_size}; {_FIX}")


def read_info(root: Path) -> tuple[DataInfo, dict[str, Any]]:
    """The description of the data set and the whole of its meta/info.json.

    Raises:
        DataError: No data set, or its meta/info.json is damaged or not ours.
    """
    path = root / layout.INFO
    if not root.is_dir() or not path.exists():
        raise DataError(f"{path}: expected a data set of wmenv, got no such file; name a folder made by `wmenv record`")
    raw = read_file(root, layout.INFO)
    try:
        obj = json.loads(raw)
        section = obj["wmenv"]
        info = DataInfo.from_json(section["info"])
        if section["format"] != 1 or section["digest"] != info.digest():
            raise ValueError("its section 'wmenv' does not match its digest")
        if not all(type(obj[k]) is int and obj[k] >= 0 for k in ("total_episodes", "total_frames")):
            raise ValueError("its counts are no integers >= 0")
    except (InputError, KeyError, TypeError, ValueError, RecursionError) as error:
        got = f"{type(error).__name__} {str(error)[:200]}"
        raise DataError(f"{path}: expected the description of a wmenv data set, got {got}; {_FIX}") from error
    return info, obj


def check_info(root: Path, info: DataInfo, obj: dict[str, Any], commits: Sequence[Commit]) -> None:
    """Checks meta/info.json against the episodes found: it may lag behind them (a crash), never contradict them.

    Raises:
        DataError: A path template, feature, rate or count is not what this data set must have.
    """
    path = root / layout.INFO
    episodes, rows = obj["total_episodes"], obj["total_frames"]
    known = [0, *(c.first_episode + c.num_episodes for c in commits)]
    if episodes > known[-1]:
        missing = root / layout.episodes_path(len(commits))
        raise DataError(f"{missing}: expected {episodes} episodes as meta/info.json says, got {known[-1]}; {_FIX}")
    rows_then = dict(zip(known, [0, *(c.first_row + c.num_rows for c in commits)], strict=True)).get(episodes)
    nq, nv = (commits[0].nq, commits[0].nv) if commits and episodes else (0, 0)
    expected = layout.info_json(info, nq=nq, nv=nv, episodes=episodes, rows=rows if rows_then is None else rows_then)
    for key, value in expected.items():
        if rows_then is None or key not in obj or obj[key] != value:
            field = "total_episodes" if rows_then is None else key
            raise DataError(
                f"{path}: {field}: expected {str(value)[:120]}, got {str(obj.get(field))[:120]}; "
                "undo the edit or restore the file from a copy"
            )


def read_commits(root: Path, info: DataInfo, known: Sequence[Commit] = ()) -> list[Commit]:
    """All appends, of which `known` are already read.

    Raises:
        DataError: A metadata file is damaged, or one in the middle is missing.
    """
    commits = list(known)
    while os.path.lexists(root / layout.episodes_path(len(commits))):
        name = layout.episodes_path(len(commits))
        commits.append(decode_commit(read_file(root, name), info, commits, name=str(root / name)))
    later = [n for n, name in _numbered(root, "meta/episodes") if n > len(commits)]
    if later:
        missing = root / layout.episodes_path(len(commits))
        raise DataError(f"{missing}: expected the episodes before file {min(later)}, got no such file; {_FIX}")
    return commits


def remove_leftovers(root: Path, count: int) -> list[str]:
    """Removes temporary files, and numbered files beyond the `count` acknowledged appends; touches nothing else."""
    names = [name for folder in layout.FOLDERS for n, name in _numbered(root, folder) if n >= count]
    folders = [root, root / "meta", *(p for f in layout.FOLDERS for p in (root / f).glob("chunk-*"))]
    for folder in folders:
        if folder.is_dir() and not folder.is_symlink():
            names += [str(p.relative_to(root)) for p in folder.iterdir() if p.name.startswith(TEMPORARY_PREFIX)]
    for name in names:
        (root / name).unlink(missing_ok=True)
        logger.info("removed %s, left by an unfinished append", root / name)
    return sorted(names)


def write_derived(root: Path, info: DataInfo, commits: Sequence[Commit]) -> list[str]:
    """Brings meta/info.json, tasks.parquet and stats.json up to date with the episodes; returns what it rewrote."""
    last = commits[-1] if commits else None
    obj = layout.info_json(
        info,
        nq=last.nq if last else 0,
        nv=last.nv if last else 0,
        episodes=last.first_episode + last.num_episodes if last else 0,
        rows=last.first_row + last.num_rows if last else 0,
    )
    wanted = {
        layout.TASKS: _tasks_parquet(info),
        layout.STATS: _json(merge(c.stats for c in commits)),
        layout.INFO: _json(obj),
    }
    rebuilt = []
    for name, data in wanted.items():
        path = root / name
        if not path.is_file() or path.stat().st_size != len(data) or path.read_bytes() != data:
            write_bytes(path, data)
            rebuilt.append(name)
    return rebuilt


@contextmanager
def lock(root: Path, *, wait: bool) -> Iterator[bool]:
    """Holds the data set for writing; dies with its process.

    Args:
        root: The data set.
        wait: Wait for another writer, else yield False at once.

    Yields:
        Whether this process may write now; where there are no locks, that is not known.

    Raises:
        DataError: The file system has no locks, and it waits for one.
        OSError: The file of the lock cannot be opened, and it waits for it.
    """
    try:
        descriptor = os.open(root / layout.LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        if wait:
            raise
        yield False  # a read-only folder can be read as it is
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if wait:
                raise DataError(
                    f"{root / layout.LOCK}: expected a file system with locks, which keep two writers apart, got "
                    f"{error.strerror or error}; write the data set on another file system and copy it"
                ) from error
            yield False  # another process writes; or there are no locks, so that one may be writing
        else:
            yield True
    finally:
        os.close(descriptor)


def _numbered(root: Path, folder: str) -> list[tuple[int, str]]:
    """The chunk-XXX/file-YYY files in `folder`, with their numbers."""
    found = []
    for path in (root / folder).glob("chunk-*/file-*"):
        number = layout.number_of(f"{path.parent.name}/{path.name}")
        if number is not None and not path.parent.is_symlink():
            found.append((number, str(path.relative_to(root))))
    return found


def _json(obj: Any) -> bytes:
    return (json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _tasks_parquet(info: DataInfo) -> bytes:
    """One task, as pandas would write the frame that LeRobot reads: the task's name is the index."""
    column = {"field_name": "task_index", "name": "task_index", "pandas_type": "int64", "numpy_type": "int64"}
    index = {"field_name": "task", "name": "task", "pandas_type": "unicode", "numpy_type": "object"}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [{"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object"}],
        "columns": [column | {"metadata": None}, index | {"metadata": None}],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    table = pa.table({"task_index": pa.array([0], pa.int64()), "task": pa.array([info.task])})
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), sink)
    return sink.getvalue()
