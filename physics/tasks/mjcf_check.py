"""Looks at a foreign MJCF file before it is trusted: its paths in this process, its compilation in a bounded one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from ..errors import TaskError

TIME_LIMIT = 30.0  # s; the largest robots of the usual collections compile in a few
MEMORY_LIMIT = 4 * 1024**3  # bytes of address space
LARGEST_FILE = 16 * 1024**2  # bytes of XML
_PATH_ATTRIBUTES = ("file", "meshdir", "texturedir", "assetdir", "fileright", "fileleft", "fileup", "filedown")
_COMPILE = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
except (ImportError, ValueError, OSError):
    pass
import mujoco
try:
    model = mujoco.MjModel.from_xml_path(sys.argv[1])
    mujoco.mj_forward(model, mujoco.MjData(model))
except Exception as error:
    sys.exit(" ".join(str(error).split())[:500] or type(error).__name__)
"""


def check_mjcf(path: str | Path) -> Path:
    """Make sure that an MJCF file compiles, in bounded time and memory, and opens nothing outside its own folder.

    Args:
        path: The MJCF file.

    Returns:
        The absolute path.

    Raises:
        TaskError: The file is missing, malformed, too large, too slow, or names a path outside its folder.
    """
    main = Path(path).expanduser().resolve()
    if not main.is_file():
        raise TaskError(f"source: expected an MJCF file, got {str(path)!r}, which is no file")
    _check_paths(main, main.parent, set())
    command = [sys.executable, "-c", _COMPILE, str(main), str(MEMORY_LIMIT)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise TaskError(f"source: expected {main} to compile in {TIME_LIMIT:g} s, got no end; simplify it") from error
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"the compiler died with status {done.returncode}"]
        raise TaskError(f"source: expected an MJCF file that compiles, got {main}: {reason[0]}")
    return main


def _check_paths(file: Path, folder: Path, seen: set[Path]) -> None:
    if file in seen:
        return
    seen.add(file)
    if file.stat().st_size > LARGEST_FILE:
        raise TaskError(f"source: expected at most {LARGEST_FILE} bytes of XML, got {file}")
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise TaskError(f"source: expected well-formed XML, got {file}: {error}") from error
    for element in root.iter():
        for attribute in _PATH_ATTRIBUTES:
            value = element.get(attribute)
            if value is None:
                continue
            target = (folder / value).resolve()
            if target != folder and folder not in target.parents:
                raise TaskError(
                    f"source: expected paths inside {folder}, got {attribute}={value!r} in {file.name}; copy it there"
                )
            if element.tag == "include" and target.is_file():
                _check_paths(target, folder, seen)
