"""What is appended is read back bit for bit, in LeRobot's layout, by any of the readers."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from wmenv.data import EpisodeStore, RepairReport
from wmenv.errors import DataError, InputError


def test_round_trip_by_every_reader(data, same):
    path, episodes = data
    store = EpisodeStore.open(path, task="wmenv/Stub-v0")
    assert store.opened == RepairReport()
    assert len(store) == store.num_episodes == 10
    assert store.num_steps == sum(e.num_steps for e in episodes)
    for got in (list(store), store.load(), [store.episode(i) for i in range(10)]):
        assert len(got) == 10
        for a, b in zip(got, episodes, strict=True):
            same(a, b)


def test_arrays_may_be_written(data):
    """Torch warns of others, and a caller may normalise in place."""
    for e in EpisodeStore.open(data[0]).load():
        assert all(getattr(e, name).flags.writeable for name in ("state", "action", "reward", "qpos", "qvel", "frames"))


def test_description_comes_back(data, info):
    assert EpisodeStore.open(data[0]).info == info()


def test_load_stops_after_max_steps(data):
    path, episodes = data
    store = EpisodeStore.open(path)
    steps = [e.num_steps for e in episodes]
    assert len(store.load(1)) == 1
    assert len(store.load(sum(steps[:4]))) == 4
    assert len(store.load(sum(steps[:4]) + 1)) == 5
    assert len(store.load(10**9)) == 10


def test_without_frames_and_with_wide_columns(tmp_path, info, episode, same):
    description = info(size=None, state_names=("a",), state_groups=(0,), action_low=(-1, -1), action_high=(1, 1))
    e = episode(3, steps=4, frames=None, state=np.ones((5, 1)), action=np.ones((4, 2)), qpos=np.ones((5, 1)))
    store = EpisodeStore.create(tmp_path / "d", description)
    store.append([e])
    same(EpisodeStore.open(tmp_path / "d").load()[0], e)
    assert not (tmp_path / "d" / "videos").exists()


def test_an_empty_data_set_opens(tmp_path, info):
    EpisodeStore.create(tmp_path / "new" / "d", info())
    store = EpisodeStore.open(tmp_path / "new" / "d")
    assert store.num_episodes == store.num_steps == 0 and store.load() == [] and list(store) == []
    store.append([])
    assert store.num_episodes == 0
    with pytest.raises(InputError, match="^index"):
        store.episode(0)


def test_lerobot_info(data):
    path, episodes = data
    obj = json.loads((path / "meta/info.json").read_text())
    rows = sum(e.num_steps + 1 for e in episodes)
    assert obj["codebase_version"] == "v3.0"
    assert (obj["total_episodes"], obj["total_frames"], obj["total_tasks"], obj["fps"]) == (10, rows, 1, 25)
    assert obj["splits"] == {"train": "0:10"}
    assert obj["data_path"] == "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    assert obj["video_path"] == "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    features = obj["features"]
    assert features["observation.image"]["dtype"] == "video" and features["observation.image"]["shape"] == [16, 16, 3]
    assert features["observation.state"]["shape"] == [2] and features["qvel"]["shape"] == [3]
    assert {"timestamp", "frame_index", "episode_index", "index", "task_index"} <= set(features)


def test_lerobot_rows(data):
    path, episodes = data
    tables = [pq.read_table(p) for p in sorted((path / "data").glob("*/*.parquet"))]
    index = np.concatenate([t["index"].to_numpy() for t in tables])
    np.testing.assert_array_equal(index, np.arange(len(index)))
    first = tables[0]
    length = episodes[0].num_steps + 1
    np.testing.assert_array_equal(first["frame_index"].to_numpy()[:length], np.arange(length))
    np.testing.assert_allclose(first["timestamp"].to_numpy()[:length], np.arange(length) / 25, rtol=1e-6)
    assert first["action"].to_numpy()[length - 1] == 0.0  # a scalar column: LeRobot's rule for width 1
    assert first["next.reward"].to_numpy()[length - 1] == 0.0
    assert first["next.terminated"].to_numpy()[length - 2] == episodes[0].terminated
    assert first["next.done"].to_numpy()[length - 1]


def test_lerobot_episodes_find_their_rows_and_frames(data):
    path, episodes = data
    key = "videos/observation.image"
    names = sorted((path / "meta/episodes").glob("*/*.parquet"))
    found = [row for p in names for row in pq.read_table(p).to_pylist()]
    at = 0
    for i, (row, e) in enumerate(zip(found, episodes, strict=True)):
        length = e.num_steps + 1
        assert (row["episode_index"], row["length"], row["tasks"]) == (i, length, ["wmenv/Stub-v0"])
        assert (row["dataset_from_index"], row["dataset_to_index"]) == (at, at + length)
        assert row["data/file_index"] == row[f"{key}/file_index"] == row["meta/episodes/file_index"]
        assert row[f"{key}/to_timestamp"] - row[f"{key}/from_timestamp"] == pytest.approx(length / 25)
        at += length
    starts = [row for row in found if row["data/file_index"] == 2]
    assert starts[0][f"{key}/from_timestamp"] == 0.0  # times count within a file


def test_lerobot_tasks_and_stats(data):
    path, episodes = data
    tasks = pq.read_table(path / "meta/tasks.parquet")
    assert tasks.to_pylist() == [{"task_index": 0, "task": "wmenv/Stub-v0"}]
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    stats = json.loads((path / "meta/stats.json").read_text())
    qpos = np.concatenate([e.qpos for e in episodes])
    for name, value in (("min", qpos.min(0)), ("max", qpos.max(0)), ("mean", qpos.mean(0)), ("std", qpos.std(0))):
        np.testing.assert_allclose(stats["qpos"][name], value, rtol=1e-9)
    assert stats["qpos"]["count"] == [len(qpos)]
    first = np.concatenate([e.frames[:1] for e in episodes]) / 255
    np.testing.assert_allclose(np.ravel(stats["observation.image"]["mean"]), first.mean((0, 1, 2)), rtol=1e-9)
    assert np.shape(stats["observation.image"]["std"]) == (3, 1, 1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"state": np.zeros((4, 3))}, "state"),
        ({"action": np.zeros((3, 2))}, "action"),
        ({"qpos": np.zeros((4, 5))}, "qpos"),
        ({"frames": None}, "frames"),
        ({"frames": np.zeros((4, 8, 8, 3), np.uint8)}, "frames"),
    ],
)
def test_episodes_that_do_not_fit_are_refused_whole(data, episode, change, field):
    path, episodes = data
    store = EpisodeStore.open(path)
    with pytest.raises(InputError, match=rf"episodes\[1\]\.{field}"):
        store.append([episode(1, steps=3), episode(2, steps=3, **change)])
    assert store.num_episodes == EpisodeStore.open(path).num_episodes == 10


def test_only_episodes_are_appended(data):
    with pytest.raises(InputError, match=r"episodes\[0\]: expected an Episode"):
        EpisodeStore.open(data[0]).append([{"state": 1}])  # type: ignore[list-item]


def test_create_refuses_what_is_there(data, tmp_path, info):
    with pytest.raises(InputError, match="^path: expected a new or empty folder"):
        EpisodeStore.create(data[0], info())
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="^path"):
        EpisodeStore.create(tmp_path / "file", info())
    with pytest.raises(InputError, match="^path"):
        EpisodeStore.create(tmp_path, info())
    assert EpisodeStore.open(data[0]).num_episodes == 10


def test_create_goes_on_where_a_crash_interrupted_it(tmp_path, info):
    (tmp_path / "d" / "meta").mkdir(parents=True)
    (tmp_path / "d" / "meta" / "tasks.parquet").write_bytes(b"")
    EpisodeStore.create(tmp_path / "d", info())
    assert EpisodeStore.open(tmp_path / "d").num_episodes == 0


def test_open_names_what_is_no_data_set(tmp_path, data):
    for path in (tmp_path / "nothing", tmp_path, data[0] / "meta"):
        with pytest.raises(DataError, match=r"meta/info\.json: expected a data set"):
            EpisodeStore.open(path)
    with pytest.raises(DataError, match="task: expected wmenv/Other-v0, got wmenv/Stub-v0"):
        EpisodeStore.open(data[0], task="wmenv/Other-v0")


def test_two_writers_take_turns(data, episode, same):
    path, episodes = data
    stores = [EpisodeStore.open(path), EpisodeStore.open(path)]

    def write(store: EpisodeStore, base: int):
        for k in range(4):
            store.append([episode(base + k)])

    threads = [threading.Thread(target=write, args=(s, 100 * (i + 1))) for i, s in enumerate(stores)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    found = EpisodeStore.open(path).load()
    assert len(found) == 18
    rewards = {e.reward.tobytes() for e in found}
    assert rewards == {e.reward.tobytes() for e in [*episodes, *(episode(b + k) for b in (100, 200) for k in range(4))]}


def test_a_fingerprint_tells_recordings_apart(tmp_path, info, episode):
    stores = [EpisodeStore.create(tmp_path / name, info()) for name in "ab"]
    empty = stores[0].fingerprint
    for store in stores:
        store.append([episode(0)])
    assert empty != stores[0].fingerprint == stores[1].fingerprint == EpisodeStore.open(tmp_path / "a").fingerprint
    stores[0].append([episode(1)])
    stores[1].append([replace(episode(1), reward=episode(1).reward + 1)])
    assert stores[0].fingerprint != stores[1].fingerprint
    other = EpisodeStore.create(tmp_path / "c", info(task="wmenv/Other-v0"))
    assert other.fingerprint != empty


def test_same_episodes_same_bytes(tmp_path, info, episode):
    for name in "ab":
        EpisodeStore.create(tmp_path / name, info()).append([episode(i) for i in range(5)])
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 7
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
