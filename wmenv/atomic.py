"""Files that are whole or absent: what a killed process, a power cut or a full disk leaves behind stays readable.

A file is written beside its place under a temporary name, flushed to the disk, then renamed over the old one; the
rename is made durable by flushing the folder. A reader sees the old bytes or the new bytes, never a part.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

TEMPORARY_PREFIX = ".tmp-"
"""Names of unfinished files begin so; whoever opens a folder may remove those that a dead process left."""


def digest(data: bytes | bytearray | memoryview) -> str:
    """The SHA-256 of `data`.

    Args:
        data: Bytes of a file.

    Returns:
        64 lower-case hexadecimal digits.
    """
    return hashlib.sha256(data).hexdigest()


def sync_folder(path: Path | str) -> None:
    """Makes the names in a folder durable: a rename is lost in a power cut until its folder is flushed.

    Args:
        path: An existing folder.

    Raises:
        OSError: The folder cannot be opened or flushed.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path | str, data: bytes | bytearray | memoryview) -> None:
    """Writes a file atomically and durably: temporary file in the same folder, fsync, rename, fsync of the folder.

    When this returns, the bytes survive SIGKILL and a power cut. When it raises, the old file is untouched and no
    temporary file remains.

    Args:
        path: The file; its folder must exist.
        data: The whole content.

    Raises:
        OSError: The disk is full, the folder is missing or may not be written.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f"{TEMPORARY_PREFIX}{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path | str, obj: Any) -> None:
    """Writes `obj` as indented JSON, atomically and durably (see `write_bytes`).

    Args:
        path: The file; its folder must exist.
        obj: Dicts, lists, strings, booleans and finite numbers.

    Raises:
        ValueError: A number is NaN or infinite, which is no JSON.
        TypeError: A value has no JSON form.
        OSError: As `write_bytes`.
    """
    write_bytes(path, (json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())


def remove_folder(path: Path) -> None:
    """Removes a folder, if it is there, and what an earlier removal left that was killed.

    It is renamed first, so that its files are under its name all or not at all; what cannot be removed is left.

    Args:
        path: The folder.
    """
    remove_leftover(path)
    with contextlib.suppress(OSError):
        path.rename(_leftover(path))
    remove_leftover(path)


def remove_leftover(path: Path) -> None:
    """Removes what `remove_folder(path)` left when it was killed."""
    shutil.rmtree(_leftover(path), ignore_errors=True)


def _leftover(path: Path) -> Path:
    return path.with_name(f"{TEMPORARY_PREFIX}{path.name}")


def _umask() -> int:
    """The process's file mode mask; mkstemp ignores it, and a data set should be readable like any other file."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
