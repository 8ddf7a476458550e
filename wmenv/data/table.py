"""The rows of many episodes as one parquet file, and back: every column but the pixels.

An episode of T steps has T + 1 rows. Row t holds observation t, the action taken there and what it earned; the last
row holds the terminal observation, a zero action and no reward.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..errors import DataError
from .episode import Episode
from .info import DataInfo
from .layout import features

_ARROW = {"float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_()}
_FIX = "restore the file from a copy or record anew"


def schema(info: DataInfo, nq: int, nv: int) -> pa.Schema:
    """The parquet schema: a scalar column for width 1 (LeRobot's rule), else a list of fixed size."""
    fields = []
    for name, feature in features(info, nq, nv).items():
        if feature["dtype"] == "video":
            continue
        kind, width = _ARROW[feature["dtype"]], feature["shape"][0]
        fields.append(pa.field(name, kind if width == 1 else pa.list_(kind, width)))
    return pa.schema(fields)


def columns(episodes: Sequence[Episode], info: DataInfo, *, first_episode: int, first_row: int) -> dict[str, NDArray]:
    """The columns of all rows of `episodes`.

    Args:
        episodes: Whole episodes, in order.
        info: The data set's description.
        first_episode: Index of the first of them in the data set.
        first_row: Index of its first row in the data set.

    Returns:
        For each feature but the video an array of shape (rows,) or (rows, width).
    """
    lengths = np.array([e.num_steps + 1 for e in episodes])
    rows, last = int(lengths.sum()), np.cumsum(lengths) - 1
    step = np.arange(rows) - np.repeat(last - lengths + 1, lengths)
    terminated, truncated, done = (np.zeros(rows, bool) for _ in range(3))
    terminated[last - 1] = [e.terminated for e in episodes]
    truncated[last - 1] = [e.truncated for e in episodes]
    done[last - 1] = terminated[last - 1] | truncated[last - 1]
    done[last] = True  # for readers that look for the end of the episode at its last row
    no_action = np.zeros((1, info.action_dim), np.float32)
    return {
        "observation.state": np.concatenate([e.state for e in episodes]),
        "action": np.concatenate([part for e in episodes for part in (e.action, no_action)]),
        "next.reward": np.concatenate([part for e in episodes for part in (e.reward, [0.0])]),
        "next.done": done,
        "next.terminated": terminated,
        "next.truncated": truncated,
        "qpos": np.concatenate([e.qpos for e in episodes]),
        "qvel": np.concatenate([e.qvel for e in episodes]),
        "timestamp": (step / info.fps).astype(np.float32),
        "frame_index": step,
        "episode_index": np.repeat(np.arange(len(episodes)) + first_episode, lengths),
        "index": np.arange(rows) + first_row,
        "task_index": np.zeros(rows, np.int64),
    }


def encode_table(data: dict[str, NDArray], form: pa.Schema) -> bytes:
    """The columns as the bytes of a parquet file of schema `form`."""
    arrays = []
    for field in form:
        values = data[field.name]
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        if pa.types.is_fixed_size_list(field.type):
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, field.type.list_size))
        else:
            arrays.append(flat)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=form), sink, compression="zstd", use_dictionary=False)
    return sink.getvalue()


def decode_table(data: bytes, form: pa.Schema, *, name: str) -> dict[str, NDArray]:
    """The inverse of `encode_table`.

    Args:
        data: The bytes of a parquet file.
        form: The schema that it must have.
        name: The file's name, for the error.

    Returns:
        For each column an array of shape (rows,) or (rows, width).

    Raises:
        DataError: No parquet, another schema, nulls, or numbers that are not finite.
    """
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DataError(f"{name}: expected a parquet file, got {str(error)[:200]}; {_FIX}") from error
    if not table.schema.equals(form, check_metadata=False):
        got = ", ".join(f"{f.name} {f.type}" for f in table.schema)[:300]
        raise DataError(f"{name}: expected the columns of meta/info.json, got {got}; {_FIX}")
    out = {}
    for field in form:
        column = table[field.name].combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) and column.num_chunks else column
        if pa.types.is_fixed_size_list(field.type):
            nulls = column.null_count + column.values.null_count
            values = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, field.type.list_size)
        else:
            nulls = column.null_count
            values = column.to_numpy(zero_copy_only=False)
        if nulls or len(values) != table.num_rows:
            raise DataError(f"{name}: expected a value in every row of {field.name}, got nulls; {_FIX}")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(f"{name}: expected finite numbers in {field.name}, got NaN or infinity; {_FIX}")
        out[field.name] = values if values.flags.writeable else values.copy()  # torch warns of views that are not
    return out
