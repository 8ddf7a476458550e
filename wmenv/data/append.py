"""The files of one append: written so that one rename acknowledges them all, read with every check there is.

# T steps, S state coordinates, H W pixels
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..atomic import sync_folder, write_bytes
from ..errors import DataError, InputError
from . import layout
from .commit import Commit, FileRecord, encode_commit
from .episode import Episode
from .folder import read_file
from .info import DataInfo
from .stats import column_stats, frame_stats
from .table import columns, decode_table, encode_table, schema
from .video import decode_video, encode_video


def write_append(root: Path, info: DataInfo, previous: Sequence[Commit], episodes: Sequence[Episode]) -> Commit:
    """Writes data and video first, then the metadata whose rename is the acknowledgement.

    Args:
        root: The data set.
        info: Its description.
        previous: All appends before this one.
        episodes: One or more episodes.

    Returns:
        The append, durable.

    Raises:
        InputError: An episode does not fit `info`.
        OSError: The disk is full or fails; nothing of this append remains.
    """
    for index, episode in enumerate(episodes):
        if not isinstance(episode, Episode):
            raise InputError(f"episodes[{index}]: expected an Episode, got {type(episode).__name__}")
    nq, nv = (previous[0].nq, previous[0].nv) if previous else (episodes[0].qpos.shape[1], episodes[0].qvel.shape[1])
    for index, episode in enumerate(episodes):
        _check_fits(episode, info, nq, nv, f"episodes[{index}]")
    number, last = len(previous), previous[-1] if previous else None
    first_row = last.first_row + last.num_rows if last else 0
    first_episode = last.first_episode + last.num_episodes if last else 0
    rows = columns(episodes, info, first_episode=first_episode, first_row=first_row)
    stats = column_stats(rows)
    files = {layout.data_path(number): encode_table(rows, schema(info, nq, nv))}
    if info.size is not None:
        frames = [e.frames for e in episodes if e.frames is not None]
        stats[layout.VIDEO_KEY] = frame_stats(frames)
        pixels = (frame for part in frames for frame in part)
        files[layout.video_path(number)] = encode_video(pixels, size=info.size, fps=info.fps)
    records = [FileRecord.of(data) for data in files.values()]
    commit = Commit(
        number=number,
        first_episode=first_episode,
        first_row=first_row,
        lengths=tuple(e.num_steps + 1 for e in episodes),
        terminated=tuple(e.terminated for e in episodes),
        truncated=tuple(e.truncated for e in episodes),
        start_seeds=tuple(e.start_seed for e in episodes),
        nq=nq,
        nv=nv,
        data=records[0],
        video=records[1] if len(records) > 1 else None,
        stats=stats,
    )
    files[commit.name] = encode_commit(commit, info)  # last: the order of the dict is the order of the writes
    try:
        for name, data in files.items():
            _make_folder(root, name)
            write_bytes(root / name, data)
    except BaseException:
        for name in reversed(files):  # the acknowledgement first, should its rename have come through
            (root / name).unlink(missing_ok=True)
        raise
    return commit


def read_append(root: Path, info: DataInfo, commit: Commit, only: int | None = None) -> list[Episode]:
    """Reads the episodes of one append, or one of them.

    Args:
        root: The data set.
        info: Its description.
        commit: The append.
        only: Index of the one episode wanted, within the append; None for all.

    Raises:
        DataError: A file is damaged; the message names it.
    """
    name = layout.data_path(commit.number)
    rows = decode_table(read_file(root, name, commit.data), schema(info, commit.nq, commit.nv), name=str(root / name))
    if len(rows["index"]) != commit.num_rows or not _are_rows_of(rows["episode_index"], commit):
        raise DataError(f"{root / name}: expected the rows of its episodes, got others; record anew")
    ends = np.cumsum(commit.lengths)
    starts = ends - np.asarray(commit.lengths)
    chosen = range(commit.num_episodes) if only is None else [only]
    frames, offset = None, int(starts[chosen[0]])
    if commit.video is not None:
        assert info.size is not None
        video = layout.video_path(commit.number)
        frames = decode_video(
            read_file(root, video, commit.video),
            name=str(root / video),
            count=int(ends[chosen[-1]]) - offset,
            size=info.size,
            first=offset,
            total=commit.num_rows,
        )
    matrix = {k: rows[k].reshape(commit.num_rows, -1) for k in ("observation.state", "action", "qpos", "qvel")}
    out = []
    for i in chosen:
        start, end = int(starts[i]), int(ends[i])
        out.append(
            Episode(
                state=matrix["observation.state"][start:end],
                frames=None if frames is None else frames[start - offset : end - offset],
                action=matrix["action"][start : end - 1],
                reward=rows["next.reward"][start : end - 1],
                terminated=commit.terminated[i],
                truncated=commit.truncated[i],
                qpos=matrix["qpos"][start:end],
                qvel=matrix["qvel"][start:end],
                start_seed=commit.start_seeds[i],
            )
        )
    return out


def _are_rows_of(episode_index: np.ndarray, commit: Commit) -> bool:
    return np.array_equal(
        episode_index, np.repeat(np.arange(commit.num_episodes) + commit.first_episode, commit.lengths)
    )


def _check_fits(episode: Episode, info: DataInfo, nq: int, nv: int, name: str) -> None:
    wanted = {"state": info.state_dim, "action": info.action_dim, "qpos": nq, "qvel": nv}
    for field, width in wanted.items():
        got = getattr(episode, field).shape[1]
        if got != width:
            raise InputError(f"{name}.{field}: expected {width} columns, got {got}; record this task elsewhere")
    shape = None if episode.frames is None else episode.frames.shape[1:3]
    if shape != (None if info.size is None else (info.size, info.size)):
        raise InputError(f"{name}.frames: expected size {info.size}, got {shape}; record this task elsewhere")


def _make_folder(root: Path, name: str) -> None:
    """Makes the file's folder and flushes those above it, so that the folder itself survives a power cut."""
    folder = (root / name).parent
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        while folder != root:
            folder = folder.parent
            sync_folder(folder)
