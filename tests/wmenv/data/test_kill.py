"""SIGKILL at any moment loses no acknowledged episode, and repair is idempotent."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wmenv.atomic import TEMPORARY_PREFIX
from wmenv.data import EpisodeStore
from wmenv.data.folder import lock
from wmenv.data.layout import data_path, episodes_path, video_path
from wmenv.errors import DataError

DRIVER = Path(__file__).with_name("kill_driver.py")


def kill(folder: Path, kills: int, seed: int) -> str:
    out = subprocess.run(
        [sys.executable, str(DRIVER), str(folder), str(kills), str(seed)], capture_output=True, text=True, timeout=3000
    )
    assert out.returncode == 0, out.stdout + out.stderr
    return out.stdout


def test_a_dozen_kills(tmp_path: Path):
    out = kill(tmp_path, 12, seed=0)
    assert int(out.split()[2]) > 0, "no kill came while files were written: the test shows nothing"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_kills(tmp_path: Path):
    kill(tmp_path, 1000, seed=1)


def test_leftovers_of_every_stage_are_removed(data):
    path, _ = data
    left = [
        data_path(3),
        video_path(3),
        data_path(3).replace("file-", f"{TEMPORARY_PREFIX}file-"),
        f"meta/{TEMPORARY_PREFIX}info.json-abc",
        f"meta/episodes/chunk-000/{TEMPORARY_PREFIX}file-003.parquet-x",
        f"{TEMPORARY_PREFIX}x",
    ]
    for name in left:
        (path / name).write_bytes(b"part")
    mine = ["README.md", "data/notes.txt", "data/chunk-000/file-abc.parquet", "videos/other/chunk-000/file-009.mp4"]
    for name in mine:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("the user's own")
    store = EpisodeStore.open(path)
    assert set(store.opened.removed) == set(left) and store.opened.rebuilt == ()
    assert all((path / name).exists() for name in mine)
    assert len(store.load()) == 10
    assert EpisodeStore.open(path).opened.removed == ()


def test_summaries_are_rebuilt_after_a_kill_behind_the_commit(tmp_path, info, episode, same):
    """The metadata was renamed, meta/info.json, stats.json and tasks.parquet were not yet."""
    path = tmp_path / "d"
    store = EpisodeStore.create(path, info())
    old = {n: (path / n).read_bytes() for n in ("meta/info.json", "meta/stats.json", "meta/tasks.parquet")}
    for k in range(3):
        store.append([episode(k)])
    new = {n: (path / n).read_bytes() for n in old}
    for n, raw in old.items():
        (path / n).write_bytes(raw)
    (path / "meta/tasks.parquet").unlink()
    opened = EpisodeStore.open(path)
    assert set(opened.opened.rebuilt) == set(old) and opened.num_episodes == 3
    assert {n: (path / n).read_bytes() for n in old} == new
    same(opened.episode(2), episode(2))


def test_repair_leaves_a_running_writer_alone(data):
    path, _ = data
    (path / data_path(3)).write_bytes(b"under way")
    with lock(path, wait=True) as held:
        assert held
        store = EpisodeStore.open(path)
        assert store.opened.removed == () and len(store.load()) == 10
    assert (path / data_path(3)).exists()
    assert store.repair().removed == (data_path(3),)


def test_a_folder_that_may_not_be_written_can_be_read(data, monkeypatch: pytest.MonkeyPatch):
    path, _ = data
    (path / data_path(3)).write_bytes(b"leftover")
    real = os.open

    def read_only(name, flags, *args, **kwargs):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise PermissionError(13, "Permission denied", str(name))
        return real(name, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", read_only)
    assert len(EpisodeStore.open(path).load()) == 10


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_where_there_are_no_locks_a_data_set_is_read_and_not_written(
    data, episode, info, tmp_path, monkeypatch: pytest.MonkeyPatch, code: int
):
    path, _ = data

    def no_locks(descriptor: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    (path / data_path(3)).write_bytes(b"perhaps under way")
    store = EpisodeStore.open(path)
    assert len(store.load()) == 10 and (path / data_path(3)).exists()
    for write in (lambda: store.append([episode(50)]), lambda: EpisodeStore.create(tmp_path / "new", info())):
        with pytest.raises(DataError, match=r"\.lock: expected a file system with locks.*another file system"):
            write()


def test_the_lock_dies_with_its_process(data):
    path, _ = data
    code = (
        "import os, signal, sys; from pathlib import Path; from wmenv.data.folder import lock\n"
        "with lock(Path(sys.argv[1]), wait=True): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], timeout=60).returncode == -9
    with lock(path, wait=False) as held:
        assert held


def test_the_commit_is_written_last(data, episode, monkeypatch: pytest.MonkeyPatch):
    store, names, replace = EpisodeStore.open(data[0]), [], os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (names.append(str(Path(b).relative_to(data[0]))), replace(a, b))[1])
    store.append([episode(50)])
    assert names == [data_path(3), video_path(3), episodes_path(3), "meta/stats.json", "meta/info.json"]
