"""Looks at a foreign MJCF file before it is trusted: its paths in this process, its compilation in a bounded one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from ..errors import TaskError

TIME_LIMIT = 30.0  # s of the processor; the largest robots of the usual collections compile in a few
PATIENCE = 4.0  # times as long by the clock: Python starts first, and a busy machine is no fault of the file
MEMORY_LIMIT = 4 * 1024**3  # bytes of address space
LARGEST_FILE = 16 * 1024**2  # bytes of XML
_SIDES = ("fileright", "fileleft", "fileup", "filedown", "filefront", "fileback")
_PATH_ATTRIBUTES = ("file", "filename", "meshdir", "texturedir", "assetdir", *_SIDES)
_COMPILE = """
import sys, time
def bound(kind, limit):
    try:
        import resource
        kind = getattr(resource, kind)
        resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))
    except (ImportError, ValueError, OSError):
        pass
bound("RLIMIT_AS", int(sys.argv[2]))
import mujoco
bound("RLIMIT_CPU", int(time.process_time() + float(sys.argv[3])) + 1)
try:
    model = mujoco.MjModel.from_xml_path(sys.argv[1])
    mujoco.mj_forward(model, mujoco.MjData(model))
except Exception as error:
    sys.exit(" ".join(str(error).split())[:500] or type(error).__name__)
"""


def check_mjcf(path: str | Path) -> Path:
    """Make sure that an MJCF file compiles, in bounded time and memory, and opens nothing outside its own folder.

    The files that it includes and the models that it attaches are looked at as well.

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
    _check_paths(main, (main.parent,), main.parent, set())
    command = [sys.executable, "-c", _COMPILE, str(main), str(MEMORY_LIMIT), str(TIME_LIMIT)]
    endless = f"source: expected {main} to compile in {TIME_LIMIT:g} s, got no end; simplify it"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE * TIME_LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise TaskError(endless) from error
    if hasattr(signal, "SIGXCPU") and done.returncode == -signal.SIGXCPU:
        raise TaskError(endless)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"the compiler died with status {done.returncode}"]
        raise TaskError(f"source: expected an MJCF file that compiles, got {main}: {reason[0]}")
    return main


def _check_paths(file: Path, bases: tuple[Path, ...], inside: Path, seen: set[tuple[Path, Path]]) -> None:
    """Refuses paths in `file` that lead outside `inside` from one of `bases`, and so on in the files that it names.

    MuJoCo looks for an included file beside the model's main file, then beside the including one; for an attached
    model, which begins a main file of its own, beside the file that names it.
    """
    if (file, bases[0]) in seen:
        return
    seen.add((file, bases[0]))
    if file.stat().st_size > LARGEST_FILE:
        raise TaskError(f"source: expected at most {LARGEST_FILE} bytes of XML, got {file}")
    content = file.read_bytes()
    if b"<!ENTITY" in content:  # MuJoCo's parser leaves them as they are and so would read another path than this one
        raise TaskError(f"source: expected XML without entities of its own, got {file}; write out what they stand for")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise TaskError(f"source: expected well-formed XML, got {file}: {error}") from error
    for element in root.iter():
        for attribute in _PATH_ATTRIBUTES:
            value = element.get(attribute)
            if value is None:
                continue
            targets = [(base / value).resolve() for base in bases]
            if any(target != inside and inside not in target.parents for target in targets):
                raise TaskError(
                    f"source: expected paths inside {inside}, got {attribute}={value!r} in {file.name}; copy it there"
                )
            for target in filter(Path.is_file, targets):
                if element.tag == "include":
                    _check_paths(target, (bases[0], target.parent), inside, seen)
                elif element.tag == "model":
                    _check_paths(target, (target.parent,), inside, seen)
