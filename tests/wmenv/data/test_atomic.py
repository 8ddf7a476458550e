"""Atomic writes: the old file or the new one, never a part, never a stray."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from wmenv.atomic import TEMPORARY_PREFIX, digest, write_bytes, write_json


def test_writes_and_replaces(tmp_path: Path):
    path = tmp_path / "file.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_json_round_trip_and_refuses_nan(tmp_path: Path):
    path = tmp_path / "file.json"
    write_json(path, {"a": [1, 2.5, None, "ü"]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": [1, 2.5, None, "ü"]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8"))["a"][1] == 2.5


def test_digest_is_sha256():
    assert digest(b"abc") == hashlib.sha256(b"abc").hexdigest()


def test_the_mode_follows_the_umask(tmp_path: Path):
    old = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("call", ["fsync", "replace", "fdopen"])
def test_a_failure_leaves_the_old_file_and_no_stray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str):
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def fail(*args: object, **kwargs: object):
        if call == "fdopen":
            os.close(args[0])  # type: ignore[arg-type]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(TEMPORARY_PREFIX)]


def test_the_data_is_flushed_before_the_rename_and_the_folder_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(os.path.isdir(f"/proc/self/fd/{fd}")), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda *a: (calls.append("rename"), replace(*a))[1])
    write_bytes(tmp_path / "file", b"x")
    assert calls == [False, "rename", True]
