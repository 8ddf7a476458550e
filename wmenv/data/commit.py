"""The episodes' metadata of one append: the file whose rename makes the append true.

It is LeRobot's meta/episodes parquet. Its key-value metadata also holds the sizes and digests of the data and video
files, and a seal: the SHA-256 of this very file with the seal's digits zeroed. So one rename acknowledges all files,
and a flipped bit in any of them is noticed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..atomic import digest
from ..errors import DataError
from .info import DataInfo
from .layout import VIDEO_KEY, episodes_path, features, position
from .stats import Stats, check_stats

_SEAL = b"wmenv-seal-sha256:"
_ZEROS = b"0" * 64
_MAX_WIDTH = 4096
_FIX = "restore the file from a copy or record anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> FileRecord:
        """The record of a file that holds `data`."""
        return cls(size=len(data), sha256=digest(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One acknowledged append: which episodes, and which bytes hold them."""

    number: int
    first_episode: int
    first_row: int
    lengths: tuple[int, ...]  # rows of each episode, T + 1
    terminated: tuple[bool, ...]
    truncated: tuple[bool, ...]
    start_seeds: tuple[int | None, ...]
    nq: int
    nv: int
    data: FileRecord
    video: FileRecord | None
    stats: Stats

    @property
    def num_episodes(self) -> int:
        """Episodes in this append."""
        return len(self.lengths)

    @property
    def num_rows(self) -> int:
        """Rows, which is also frames."""
        return sum(self.lengths)

    @property
    def num_steps(self) -> int:
        """Actions."""
        return self.num_rows - self.num_episodes

    @property
    def name(self) -> str:
        """The metadata file, relative to the data set."""
        return episodes_path(self.number)


def encode_commit(commit: Commit, info: DataInfo) -> bytes:
    """The sealed parquet file of `commit`."""
    ends = np.cumsum(commit.lengths)
    starts = ends - commit.lengths
    where = position(commit.number)
    count = commit.num_episodes

    def constant(value: int) -> pa.Array:
        return pa.array(np.full(count, value, np.int64))

    columns: dict[str, pa.Array] = {
        "episode_index": pa.array(np.arange(count, dtype=np.int64) + commit.first_episode),
        "tasks": pa.array([[info.task]] * count, pa.list_(pa.string())),
        "length": pa.array(commit.lengths, pa.int64()),
        "data/chunk_index": constant(where["chunk_index"]),
        "data/file_index": constant(where["file_index"]),
        "dataset_from_index": pa.array(starts + commit.first_row, pa.int64()),
        "dataset_to_index": pa.array(ends + commit.first_row, pa.int64()),
    }
    if commit.video is not None:
        columns[f"videos/{VIDEO_KEY}/chunk_index"] = constant(where["chunk_index"])
        columns[f"videos/{VIDEO_KEY}/file_index"] = constant(where["file_index"])
        columns[f"videos/{VIDEO_KEY}/from_timestamp"] = pa.array(starts / info.fps, pa.float64())
        columns[f"videos/{VIDEO_KEY}/to_timestamp"] = pa.array(ends / info.fps, pa.float64())
    columns["meta/episodes/chunk_index"] = constant(where["chunk_index"])
    columns["meta/episodes/file_index"] = constant(where["file_index"])
    columns["terminated"] = pa.array(commit.terminated, pa.bool_())
    columns["truncated"] = pa.array(commit.truncated, pa.bool_())
    columns["start_seed"] = pa.array(commit.start_seeds, pa.int64())
    record = {
        "info": info.digest(),
        "nq": commit.nq,
        "nv": commit.nv,
        "data": [commit.data.size, commit.data.sha256],
        "video": None if commit.video is None else [commit.video.size, commit.video.sha256],
        "stats": commit.stats,
    }
    table = pa.table(columns)
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"wmenv.commit": json.dumps(record), "wmenv.seal": (_SEAL + _ZEROS).decode()})
    data = sink.getvalue()
    at = data.rindex(_SEAL) + len(_SEAL)
    return data[:at] + digest(data).encode() + data[at + 64 :]


def decode_commit(data: bytes, info: DataInfo, previous: Sequence[Commit], *, name: str) -> Commit:
    """Reads the append that follows `previous`, and checks that it does follow.

    Args:
        data: The bytes of its metadata file.
        info: The data set's description.
        previous: All appends before it.
        name: The file's name, for the error.

    Raises:
        DataError: The file is damaged, of another place or of another data set.
    """
    at = data.rfind(_SEAL) + len(_SEAL)
    if at < len(_SEAL) or digest(data[:at] + _ZEROS + data[at + 64 :]).encode() != data[at : at + 64]:
        raise DataError(f"{name}: expected the sealed metadata of episodes, got altered or foreign bytes; {_FIX}")
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        table = file.read()
        commit = _read(table, json.loads(file.metadata.metadata[b"wmenv.commit"]), info, previous)
        same = encode_commit(commit, info) == data or _same_table(encode_commit(commit, info), table)
    except (pa.ArrowException, KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise DataError(f"{name}: expected the metadata of episodes, got {str(error)[:200]}; {_FIX}") from error
    if not same:
        raise DataError(f"{name}: expected the next episodes of this data set, got those of another place; {_FIX}")
    return commit


def _same_table(data: bytes, table: pa.Table) -> bool:
    """Equal but for the writer's version: pyarrow's bytes differ between its releases, the values do not."""
    return pq.read_table(io.BytesIO(data)).equals(table)


def _read(table: pa.Table, record: dict[str, Any], info: DataInfo, previous: Sequence[Commit]) -> Commit:
    if record["info"] != info.digest():
        raise ValueError("the episodes of another data set")
    lengths = tuple(table["length"].to_pylist())
    if not lengths or min(lengths) < 2:
        raise ValueError("episodes without a step")
    nq, nv = record["nq"], record["nv"]
    if not all(type(n) is int and 1 <= n <= _MAX_WIDTH for n in (nq, nv)):
        raise ValueError(f"qpos and qvel of widths {nq} and {nv}")
    if previous and (nq, nv) != (previous[0].nq, previous[0].nv):
        raise ValueError("qpos or qvel of another width than before")
    check_stats(record["stats"], features(info, nq, nv))
    return Commit(
        number=len(previous),
        first_episode=sum(c.num_episodes for c in previous[-1:]) + (previous[-1].first_episode if previous else 0),
        first_row=sum(c.num_rows for c in previous[-1:]) + (previous[-1].first_row if previous else 0),
        lengths=lengths,
        terminated=tuple(table["terminated"].to_pylist()),
        truncated=tuple(table["truncated"].to_pylist()),
        start_seeds=tuple(table["start_seed"].to_pylist()),
        nq=nq,
        nv=nv,
        data=FileRecord(size=int(record["data"][0]), sha256=str(record["data"][1])),
        video=None
        if record["video"] is None
        else FileRecord(size=int(record["video"][0]), sha256=str(record["video"][1])),
        stats=record["stats"],
    )
