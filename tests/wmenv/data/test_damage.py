"""Damage of every kind to every file is a DataError that names the file; nothing damaged is ever returned as data."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wmenv.data import EpisodeStore
from wmenv.data.commit import FileRecord, decode_commit, encode_commit
from wmenv.data.folder import read_commits
from wmenv.data.layout import data_path, episodes_path, video_path
from wmenv.data.table import decode_table, encode_table, schema
from wmenv.data.video import encode_video
from wmenv.errors import DataError

PARQUET, VIDEO, EPISODES, INFO = data_path(1), video_path(1), episodes_path(1), "meta/info.json"


def flip(at: float) -> Callable[[Path], None]:
    """Flips one bit at a fraction of the file."""

    def damage(path: Path) -> None:
        raw = bytearray(path.read_bytes())
        raw[min(int(at * len(raw)), len(raw) - 1)] ^= 0x10
        path.write_bytes(raw)

    return damage


def swap(path: Path) -> None:
    other = path.with_name("file-002" + path.suffix)
    other = other if other.exists() else path.with_name("stats.json")
    keep = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(keep)


def absurd_size(path: Path) -> None:
    os.truncate(path, 2**40)  # sparse: takes no room


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_link_out(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


KINDS: dict[str, Callable[[Path], Any]] = {
    "half": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "two bytes short": lambda p: p.write_bytes(p.read_bytes()[:-2]),
    "longer": lambda p: p.write_bytes(p.read_bytes() + b"\0" * 16),
    "empty": lambda p: p.write_bytes(b""),
    "zeros": lambda p: p.write_bytes(bytes(p.stat().st_size)),
    "foreign text": lambda p: p.write_text("Lorem ipsum dolor sit amet\n" * 20),
    "flip at the start": flip(0.0),
    "flip in the middle": flip(0.5),
    "flip near the end": flip(0.98),
    "swapped": swap,
    "absurd size": absurd_size,
    "folder": as_folder,
    "link out of the data set": as_link_out,
    "pipe": as_pipe,
    "missing": lambda p: p.unlink(),
}


def read_all(path: Path) -> None:
    EpisodeStore.open(path).load()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [PARQUET, VIDEO, EPISODES, INFO])
def test_damage_names_the_file(data, name: str, kind: str):
    KINDS[kind](data[0] / name)
    with pytest.raises(DataError, match=rf"^{data[0] / name}: "):
        read_all(data[0])


@pytest.mark.parametrize("kind", ["half", "flip in the middle", "missing", "swapped"])
@pytest.mark.parametrize("name", [PARQUET, VIDEO])
def test_one_episode_is_checked_like_all(data, name: str, kind: str):
    store = EpisodeStore.open(data[0])
    KINDS[kind](data[0] / name)
    with pytest.raises(DataError, match=rf"^{data[0] / name}: "):
        store.episode(4)
    assert store.episode(0).num_steps == data[1][0].num_steps  # its files are sound


def edit(*keys: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(obj: dict[str, Any]) -> None:
        for key in keys[:-1]:
            obj = obj[key]
        obj[keys[-1]] = to

    return change


EDITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "data path upwards": edit("data_path", to="../../{chunk_index}/{file_index}.parquet"),
    "data path absolute": edit("data_path", to="/etc/passwd"),
    "video path upwards": edit("video_path", to="videos/../../../x-{video_key}.mp4"),
    "template reads attributes": edit("data_path", to="{chunk_index.__class__}"),
    "no video path": edit("video_path", to=None),
    "absurd chunk size": edit("chunks_size", to=10**18),
    "absurd frame size": edit("features", "observation.image", "shape", to=[10**9, 10**9, 3]),
    "other dtype": edit("features", "action", "dtype", to="object"),
    "feature missing": lambda o: o["features"].pop("next.reward"),
    "feature added": edit("features", "evil", to={"dtype": "float32", "shape": [1], "names": None}),
    "version": edit("codebase_version", to="v2.1"),
    "NaN rate": edit("fps", to=float("nan")),
    "more episodes than there are": edit("total_episodes", to=11),
    "fewer rows than there are": edit("total_frames", to=3),
    "negative count": edit("total_episodes", to=-1),
    "fractional count": edit("total_episodes", to=10.0),
    "our section missing": lambda o: o.pop("wmenv"),
    "our section foreign": edit("wmenv", to=[1, 2, 3]),
    "another task": edit("wmenv", "info", "task", to="wmenv/Other-v0"),
    "another action box": edit("wmenv", "info", "action_high", to=[9.0]),
    "absurd size in our section": edit("wmenv", "info", "size", to=10**12),
    "unknown field": edit("wmenv", "info", "evil", to=1),
    "format of the future": edit("wmenv", "format", to=2),
    "key missing": lambda o: o.pop("robot_type"),
}


@pytest.mark.parametrize("kind", EDITS)
def test_an_edited_info_json_is_refused(data, kind: str):
    path = data[0] / INFO
    obj = json.loads(path.read_text())
    EDITS[kind](obj)
    path.write_text(json.dumps(obj))
    before = sorted(p for p in data[0].rglob("*"))
    with pytest.raises(DataError, match=rf"^{data[0]}/meta/"):
        read_all(data[0])
    assert sorted(p for p in data[0].rglob("*")) == before  # nothing is removed on the word of a damaged file


@pytest.mark.parametrize("text", ["null", "[]", "3", '"x"', "{}", "[" * 100_000, '{"wmenv": {}}', "\xff\xfe"])
def test_other_json_is_refused(data, text: str):
    (data[0] / INFO).write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=rf"^{data[0] / INFO}: "):
        read_all(data[0])


def reseal(
    path: Path, *, rows: Callable[[dict], dict] = dict, table: Callable = lambda t: t, video: bytes | None = None
):
    """Rewrites the second append with valid digests and seal, as someone who means harm could."""
    info = EpisodeStore.open(path).info
    commits = read_commits(path, info)
    form, c = schema(info, commits[1].nq, commits[1].nv), commits[1]
    raw = encode_table(rows(decode_table((path / PARQUET).read_bytes(), form, name="")), form)
    (path / PARQUET).write_bytes(raw)
    pq.write_table(table(pq.read_table(path / PARQUET)), path / PARQUET)
    if video is not None:
        (path / VIDEO).write_bytes(video)
    fields = {k: getattr(c, k) for k in c.__slots__}
    fields |= {
        "data": FileRecord.of((path / PARQUET).read_bytes()),
        "video": FileRecord.of((path / VIDEO).read_bytes()),
    }
    (path / EPISODES).write_bytes(encode_commit(type(c)(**fields), info))


SEALED: dict[str, tuple[str, dict[str, Any]]] = {
    "NaN state": (PARQUET, {"rows": lambda r: r | {"observation.state": r["observation.state"] * np.float32("nan")}}),
    "infinite reward": (PARQUET, {"rows": lambda r: r | {"next.reward": r["next.reward"] + np.inf}}),
    "rows of others": (PARQUET, {"rows": lambda r: r | {"episode_index": r["episode_index"] + 1}}),
    "rows missing": (PARQUET, {"rows": lambda r: {k: v[:-1] for k, v in r.items()}}),
    "no rows": (PARQUET, {"rows": lambda r: {k: v[:0] for k, v in r.items()}}),
    "column missing": (PARQUET, {"table": lambda t: t.drop_columns(["qpos"])}),
    "column of another type": (PARQUET, {"table": lambda t: t.set_column(4, "next.terminated", t["index"])}),
    "nulls": (PARQUET, {"table": lambda t: t.set_column(1, t.schema.field(1), pa.nulls(t.num_rows, pa.float32()))}),
    "frames missing": (VIDEO, {"video": encode_video(np.zeros((2, 16, 16, 3), np.uint8), size=16, fps=25)}),
    "frames of another size": (VIDEO, {"video": encode_video(np.zeros((9, 32, 32, 3), np.uint8), size=32, fps=25)}),
    "no video": (VIDEO, {"video": b"ftyp" * 100}),
}


@pytest.mark.parametrize("kind", SEALED)
def test_lies_with_valid_digests_are_refused(data, kind: str):
    name, lie = SEALED[kind]
    reseal(data[0], **lie)
    with pytest.raises(DataError, match=rf"^{data[0] / name}: "):
        read_all(data[0])


def test_metadata_of_another_data_set_is_refused(data, tmp_path, info, episode):
    other = EpisodeStore.create(tmp_path / "other", info(seed=8))
    for k in range(2):
        other.append([episode(k)])
    shutil.copy(tmp_path / "other" / EPISODES, data[0] / EPISODES)
    with pytest.raises(DataError, match=rf"^{data[0] / EPISODES}: .*another data set"):
        read_all(data[0])


def test_metadata_of_another_place_is_refused(data):
    """A sealed file from elsewhere in the same data set, with everything in it true but its place."""
    info = EpisodeStore.open(data[0]).info
    with pytest.raises(DataError, match="of another place"):
        decode_commit((data[0] / episodes_path(2)).read_bytes(), info, [], name="x")


def test_a_missing_last_append_is_noticed(data):
    (data[0] / episodes_path(2)).unlink()
    with pytest.raises(DataError, match=rf"^{data[0] / episodes_path(2)}: "):
        read_all(data[0])
    assert (data[0] / data_path(2)).exists()  # and its rows are not thrown away


def damage_at_random(path: Path, rng: random.Random) -> None:
    raw = bytearray(path.read_bytes())
    kind = rng.randrange(4)
    if kind == 0:
        for _ in range(rng.randint(1, 3)):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del raw[rng.randrange(len(raw)) :]
    elif kind == 2:
        at = rng.randrange(len(raw))
        raw[at:at] = rng.randbytes(rng.randint(1, 20))
    else:
        at = rng.randrange(len(raw))
        raw[at : at + 8] = rng.randbytes(8)
    path.write_bytes(raw)


def same_content(path: Path, sound: bytes) -> bool:
    """Whether the damage changed nothing; in JSON a blank more or less is nothing."""
    if path.suffix != ".json":
        return path.read_bytes() == sound
    try:
        return json.loads(path.read_bytes()) == json.loads(sound)
    except ValueError:
        return False


def fuzz(path: Path, count: int) -> None:
    files = [path / n for n in (PARQUET, VIDEO, EPISODES, INFO)]
    sound = {p: p.read_bytes() for p in files}
    rng = random.Random(0)
    for i in range(count):
        target = files[i % 4]
        damage_at_random(target, rng)
        if not same_content(target, sound[target]):
            with pytest.raises(DataError, match=rf"^{path}/"):
                read_all(path)
        target.write_bytes(sound[target])
    read_all(path)


def test_random_damage(data):
    fuzz(data[0], 200)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_random_damage_ten_thousand_times(data):
    fuzz(data[0], 10_000)
