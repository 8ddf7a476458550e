"""A full disk is a DataError that says so; what was acknowledged before is intact, and recording can go on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from wmenv.data import EpisodeStore, RepairReport
from wmenv.errors import DataError


class FullDisk:
    """Lets the first `calls` of an os function through and fails all others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, calls: int) -> None:
        self._real, self._left = getattr(os, name), calls
        monkeypatch.setattr(os, name, self)

    def __call__(self, *args, **kwargs):
        self._left -= 1
        if self._left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._real(*args, **kwargs)


@pytest.mark.parametrize(("call", "acknowledged_from"), [("fsync", 6), ("replace", 3)])
@pytest.mark.parametrize("after", range(8))
def test_append_fails_whole_or_not_at_all(
    data, episode, same, monkeypatch: pytest.MonkeyPatch, call: str, acknowledged_from: int, after: int
):
    """Three files, each with an fsync, a rename and an fsync of the folder; then only summaries are left to write."""
    path, episodes = data
    store = EpisodeStore.open(path)
    with monkeypatch.context() as patch:
        FullDisk(patch, call, after)
        if after >= acknowledged_from:
            store.append([episode(20)])
            episodes = [*episodes, episode(20)]
        else:
            with pytest.raises(DataError, match="No space left on device; free space"):
                store.append([episode(20)])
    assert store.num_episodes == len(episodes)
    again = EpisodeStore.open(path)
    assert again.opened.removed == ()
    for a, b in zip(again.load(), episodes, strict=True):
        same(a, b)
    store.append([episode(21)])  # room again: the same store goes on
    same(EpisodeStore.open(path).episode(len(episodes)), episode(21))


def test_create_on_a_full_disk(tmp_path: Path, info, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        FullDisk(patch, "fsync", 0)
        with pytest.raises(DataError, match="No space"):
            EpisodeStore.create(tmp_path / "d", info())
    EpisodeStore.create(tmp_path / "d", info())
    assert EpisodeStore.open(tmp_path / "d").opened == RepairReport()


def test_a_real_full_disk(tmp_path: Path, info, episode, same):
    """A file system of 256 KiB, where the machine lets us mount one."""
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a file system here")
    try:
        store, stored = EpisodeStore.create(disk / "d", info()), 0
        with pytest.raises(DataError, match="No space left on device"):
            for k in range(200):
                store.append([episode(k, steps=8)])
                stored += 1
        assert stored > 0
        again = EpisodeStore.open(disk / "d")
        assert again.num_episodes == stored and not list((disk / "d").rglob(".tmp-*"))
        for k, e in enumerate(again.load()):
            same(e, episode(k, steps=8))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
