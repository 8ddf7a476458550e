"""Looks for what commonly breaks here, and says how to mend it: versions, device, drawing, and the known traps.

Each check returns findings; what may crash (a GL driver, an import order) runs in a child process, so that a crash is
a finding and not the end of the doctor.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

GIB = 2**30
PACKAGES = ("wmenv", "torch", "numpy", "gymnasium", "mujoco", "stable-baselines3", "pyarrow", "av", "safetensors")
OPTIONAL = ("dm_control", "wandb", "tensorboard", "triton")
EGL_PACKAGES = "libegl1 libegl-mesa0 libgl1-mesa-dri"
REINSTALL = "in wmenv's folder run: make install"

DRAW = """
import os
import physics  # chooses the backend as every task does
import mujoco
model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 2"/><geom type="sphere" size=".3" rgba="1 0 0 1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 64, 64) as renderer:
    renderer.update_scene(data)
    frame = renderer.render()
    from OpenGL import GL
    name = GL.glGetString(GL.GL_RENDERER)
assert frame.std() > 0, "the picture is empty"
print(os.environ.get("MUJOCO_GL") or "glfw", "with", name.decode() if name else "an unknown renderer")
"""
DRAW_THEN_OPTIMIZE = """
import gymnasium, numpy, wmenv
env = gymnasium.make("wmenv/InvertedPendulum-v0", obs="frames")
frame, _ = env.reset(seed=0)
import torch
parameter = torch.nn.Parameter(torch.zeros(1))
parameter.sum().backward()
torch.optim.Adam([parameter]).step()
env.close()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the doctor looked at.

    Attributes:
        topic: What was looked at, in a word or two.
        status: `ok`; `note`, worth knowing; or `broken`, wmenv will fail.
        detail: What was found.
        fix: What to do about it; empty when nothing is needed.
    """

    topic: str
    status: Literal["ok", "note", "broken"]
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings; `str(diagnosis)` is the report and `exit_code` what a command line should return."""

    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """1 if something is broken, else 0."""
        return int(any(finding.status == "broken" for finding in self.findings))

    def __str__(self) -> str:
        lines = []
        for finding in self.findings:
            lines.append(f"{finding.status:6}  {finding.topic:18} {finding.detail}")
            if finding.fix:
                lines.append(f"{'':8}{'':18} fix: {finding.fix}")
        broken = sum(finding.status == "broken" for finding in self.findings)
        lines.append("all is well" if not broken else f"{broken} broken: follow the fixes above")
        return "\n".join(lines)


def doctor(folder: str | os.PathLike[str] = ".") -> Diagnosis:
    """Examines this installation and machine; takes a few seconds and changes nothing.

    Args:
        folder: Where runs will be written; its free disk space is looked at.

    Returns:
        The findings. Print the diagnosis to show them.

    Example:
        >>> diagnosis = doctor()
        >>> print(diagnosis)  # doctest: +SKIP
    """
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        check_python, check_versions, check_device, check_drawing, check_mujoco, check_torch, check_triton,
        check_names, lambda: check_room(Path(folder)),
    )  # fmt: skip
    return Diagnosis(findings=tuple(finding for check in checks for finding in check()))


def check_python() -> Iterator[Finding]:
    """The interpreter, its virtual environment, and whether it could make another."""
    fits = (3, 11) <= sys.version_info[:2] < (3, 13)
    where = f"{platform.python_version()} in {sys.prefix}"
    fix = "" if fits else "use Python 3.11 or 3.12, for instance: make PYTHON=/path/to/python3.12 install"
    yield Finding(topic="python", status="ok" if fits else "broken", detail=where, fix=fix)
    if sys.prefix == sys.base_prefix:
        advice = "make install; wmenv shares the names `agents` and `kernels` with other projects"
        yield Finding(topic="environment", status="note", detail="not a virtual environment", fix=advice)
    if find_spec("ensurepip") is None:
        fix = f"apt-get install -y python{sys.version_info.major}.{sys.version_info.minor}-venv"
        yield Finding(topic="python3-venv", status="note", detail="missing, `make install` needs it", fix=fix)


def check_versions() -> Iterator[Finding]:
    """What is installed, without importing any of it."""
    found = {name: version_of(name) for name in (*PACKAGES, *OPTIONAL)}
    listed = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    yield Finding(topic="versions", status="ok", detail=listed)
    missing = [name for name in PACKAGES if found[name] is None]
    if missing:
        yield Finding(topic="versions", status="broken", detail=f"missing: {', '.join(missing)}", fix=REINSTALL)


def check_device() -> Iterator[Finding]:
    """Cores, and a CUDA GPU if torch can use one."""
    if find_spec("torch") is None:
        return
    import torch

    from .machine import cores

    if torch.cuda.is_available():
        yield Finding(topic="device", status="ok", detail=f"cuda: {torch.cuda.get_device_name(0)}; {cores()} cores")
        return
    yield Finding(topic="device", status="ok", detail=f"cpu: {cores()} cores, torch {torch.__version__}")
    from wmenv import device

    if not device.multiplies_bfloat16(torch.device("cpu")):
        detail = "no units for bfloat16 (AVX512-BF16, AMX): training runs in float32"
        yield Finding(topic="bfloat16", status="note", detail=detail)
    if _output(["nvidia-smi", "-L"]).startswith("GPU"):
        fix = "install the CUDA build of torch, or update the NVIDIA driver to one that it supports"
        yield Finding(topic="device", status="note", detail="there is a GPU that torch does not see", fix=fix)


def check_drawing() -> Iterator[Finding]:
    """Whether MuJoCo really draws a 64x64 picture, in a child process."""
    if find_spec("mujoco") is None:
        return
    child = _child(DRAW)
    if child.returncode == 0:
        yield Finding(topic="GL", status="ok", detail=f"drew 64x64 by {child.stdout.strip()}")
        return
    fix = "choose another MUJOCO_GL"
    if platform.system() == "Linux":
        fix = f"unset MUJOCO_GL, and: apt-get install -y {EGL_PACKAGES}"
    yield Finding(topic="GL", status="broken", detail=f"drawing failed: {_last_words(child)}", fix=fix)


def check_mujoco() -> Iterator[Finding]:
    """MuJoCo 4.0.0 and dm_control beside MuJoCo 4."""
    version = version_of("mujoco")
    if version is None:
        return
    if version == "4.0.0":
        detail = "4.0.0 solves large sparse models wrongly (accelerations off by up to 433%)"
        yield Finding(topic="mujoco", status="broken", detail=detail, fix="pip install 'mujoco>=3.17,!=4.0.0'")
    if numbers(version) >= (4,) and version_of("dm_control"):
        detail = f"dm_control does not work with MuJoCo {version}"
        yield Finding(topic="mujoco", status="broken", detail=detail, fix="pip install 'mujoco>=3.17,<4'")


def check_torch() -> Iterator[Finding]:
    """Versions of torch with a known hole, and torchvision beside a CPU build."""
    version = version_of("torch")
    if version is None:
        return
    if numbers(version) < (2, 10):
        detail = f"{version}: loading weights can run foreign code"
        yield Finding(topic="torch", status="broken", detail=detail, fix="pip install 'torch>=2.10,<2.14'")
    if "+cpu" in version and version_of("torchvision") and "+cpu" not in str(version_of("torchvision")):
        detail = "torchvision's build is not for CPU torch: it does not import and breaks what imports it"
        yield Finding(topic="torchvision", status="note", detail=detail, fix="pip uninstall torchvision")


def check_triton() -> Iterator[Finding]:
    """Triton imported after software EGL has drawn ends in a segmentation fault, unless wmenv prevents it."""
    if version_of("triton") is None or find_spec("mujoco") is None:
        return
    child = _child(DRAW_THEN_OPTIMIZE)
    if child.returncode == 0:
        yield Finding(topic="triton and EGL", status="ok", detail="drawing first and optimising after works")
        return
    detail = f"drawing a frame and then making an optimizer fails: {_last_words(child)}"
    yield Finding(topic="triton and EGL", status="broken", detail=detail, fix="`import triton` first, or uninstall it")


def check_names() -> Iterator[Finding]:
    """Other distributions that own or import `agents` or `kernels`, our top-level names."""
    places = {name: _parent(name) for name in ("wmenv", "physics", "agents", "kernels")}
    if len(set(places.values())) > 1:
        detail = ", ".join(f"{name} from {place}" for name, place in places.items())
        yield Finding(topic="package names", status="broken", detail=detail, fix=f"a clean environment: {REINSTALL}")
    owners = metadata.packages_distributions()
    foreign = {owner for name in places for owner in owners.get(name, ())} - {"wmenv"}
    if foreign:
        detail = f"{', '.join(sorted(foreign))} also installs a package of our names"
        fix = f"pip uninstall {' '.join(sorted(foreign))}, or use an environment without it"
        yield Finding(topic="package names", status="broken", detail=detail, fix=fix)
    for name in ("transformers", "openai-agents"):
        if version_of(name):
            detail = f"{name} is installed and imports a top-level `kernels` or `agents`, and would find ours"
            fix = "keep wmenv in a virtual environment of its own"
            yield Finding(topic="package names", status="note", detail=detail, fix=fix)


def check_room(folder: Path) -> Iterator[Finding]:
    """Free disk space where runs go, and free memory."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    disk = shutil.disk_usage(existing).free / GIB
    status = "ok" if disk >= 2 else "note" if disk >= 0.2 else "broken"
    fix = "" if status == "ok" else "free some; a demo writes below 1 GiB, an environment 1.7 GiB or more"
    yield Finding(topic="disk", status=status, detail=f"{disk:.1f} GiB free at {existing}", fix=fix)
    memory = _free_memory()
    if memory is not None and memory < 4:
        fix = "close other programs; the demo needs up to 4 GiB"
        yield Finding(topic="memory", status="note", detail=f"{memory:.1f} GiB available", fix=fix)


def version_of(distribution: str) -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: '2.13.0+cpu' -> (2, 13, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _parent(package: str) -> str | None:
    spec = find_spec(package)
    return str(Path(spec.origin).parent.parent) if spec and spec.origin else None


def _child(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "no answer within 120 s")


def _last_words(child: subprocess.CompletedProcess[str]) -> str:
    if child.returncode < 0:
        return f"killed by signal {-child.returncode}"
    lines = child.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {child.returncode}"


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _free_memory() -> float | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return None
    match = re.search(r"MemAvailable:\s+(\d+) kB", text)
    return int(match.group(1)) / 2**20 if match else None
