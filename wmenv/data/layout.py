"""Where each file of a LeRobotDataset v3 lies and what its meta/info.json says; one place, so that both agree.

Paths are made from numbers by the constants below and never from a template that was read from a disk.
"""

from __future__ import annotations

import re
from typing import Any

from .info import DataInfo

VERSION = "v3.0"
CHUNK_SIZE = 1000
VIDEO_KEY = "observation.image"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
LOCK = "meta/.lock"

_DATA_TEMPLATE = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO_TEMPLATE = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_EPISODES_TEMPLATE = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_NUMBERED = re.compile(r"chunk-(\d{3})/file-(\d{3})\.(?:parquet|mp4)")

FOLDERS = ("data", f"videos/{VIDEO_KEY}", "meta/episodes")
"""The folders whose chunk-XXX/file-YYY files belong to the store."""


def position(number: int) -> dict[str, int]:
    """The chunk and the file index of the `number`-th append."""
    return {"chunk_index": number // CHUNK_SIZE, "file_index": number % CHUNK_SIZE}


def data_path(number: int) -> str:
    """The parquet file of the `number`-th append, relative to the data set."""
    return _DATA_TEMPLATE.format(**position(number))


def video_path(number: int) -> str:
    """The video file of the `number`-th append, relative to the data set."""
    return _VIDEO_TEMPLATE.format(video_key=VIDEO_KEY, **position(number))


def episodes_path(number: int) -> str:
    """The episodes' metadata of the `number`-th append, relative to the data set."""
    return _EPISODES_TEMPLATE.format(**position(number))


def number_of(name: str) -> int | None:
    """The append to which "chunk-XXX/file-YYY.ext" belongs, None for a name of another form."""
    match = _NUMBERED.fullmatch(name)
    return int(match[1]) * CHUNK_SIZE + int(match[2]) if match else None


def features(info: DataInfo, nq: int, nv: int) -> dict[str, dict[str, Any]]:
    """The columns, in LeRobot's words.

    Args:
        info: The data set's description.
        nq: Width of qpos, 0 while nothing is recorded.
        nv: Width of qvel, likewise.

    Returns:
        For each feature its dtype, shape and names.
    """
    out: dict[str, dict[str, Any]] = {}
    if info.size is not None:
        out[VIDEO_KEY] = {
            "dtype": "video",
            "shape": [info.size, info.size, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": info.size,
                "video.width": info.size,
                "video.codec": "h264",
                "video.pix_fmt": "gbrp",
                "video.is_depth_map": False,
                "video.fps": _plain(info.fps),
                "video.channels": 3,
                "has_audio": False,
            },
        }
    out["observation.state"] = _feature("float32", info.state_dim, list(info.state_names))
    out["action"] = _feature("float32", info.action_dim, [f"action_{i}" for i in range(info.action_dim)])
    out["next.reward"] = _feature("float64", 1)
    for name in ("next.done", "next.terminated", "next.truncated"):
        out[name] = _feature("bool", 1)
    if nq:
        out["qpos"] = _feature("float64", nq)
    if nv:
        out["qvel"] = _feature("float64", nv)
    out["timestamp"] = _feature("float32", 1)
    for name in ("frame_index", "episode_index", "index", "task_index"):
        out[name] = _feature("int64", 1)
    return out


def info_json(info: DataInfo, *, nq: int, nv: int, episodes: int, rows: int) -> dict[str, Any]:
    """The whole of meta/info.json; all but the section "wmenv" follows from that section and the four numbers."""
    return {
        "codebase_version": VERSION,
        "robot_type": None,
        "total_episodes": episodes,
        "total_frames": rows,
        "total_tasks": 1,
        "chunks_size": CHUNK_SIZE,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 500,
        "fps": _plain(info.fps),
        "splits": {"train": f"0:{episodes}"},
        "data_path": _DATA_TEMPLATE,
        "video_path": _VIDEO_TEMPLATE if info.size is not None else None,
        "features": features(info, nq, nv),
        "wmenv": {"format": 1, "info": info.to_json(), "digest": info.digest()},
    }


def _feature(dtype: str, width: int, names: list[str] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [width], "names": names}


def _plain(value: float) -> int | float:
    """LeRobot counts frames per second in integers; a rate that is none stays a float."""
    return int(value) if value == int(value) else value
