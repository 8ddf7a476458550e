"""Holds the direction of dependencies: reads every import, so that a wrong one fails here and not at a user's."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {"kernels": set(), "physics": set(), "wmenv": {"kernels"}, "agents": {"wmenv", "physics", "kernels"}}
HIDDEN = {"physics.worlds.judge", "physics.worlds.data"}
"""Not on the face of physics, since what makes rewards imports that; who examines or records for a study names them."""
FILES = [path for package in ALLOWED for path in sorted((ROOT / package).rglob("*.py"))]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every absolute import, also inside functions and through `import_module("...")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            yield node.lineno, node.module
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name in ("import_module", "__import__") and not str(node.args[0].value).startswith("."):
                yield node.lineno, str(node.args[0].value)


def faults(package: str, source: str) -> list[str]:
    """What is wrong with the imports of one file of `package`."""
    found = []
    for line, name in imports(ast.parse(source)):
        top = name.partition(".")[0]
        if top == package:
            found.append(f"line {line}: import {name}: inside a package, imports are relative")
        elif top in ALLOWED and top not in ALLOWED[package]:
            found.append(f"line {line}: import {name}: {package} may import {sorted(ALLOWED[package])} only")
        elif top in ALLOWED and name != top and name not in HIDDEN:
            found.append(f"line {line}: import {name}: across packages, only the face ({top}) is imported")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_picture(path: Path):
    package = path.relative_to(ROOT).parts[0]
    assert faults(package, path.read_text(encoding="utf-8")) == []


def test_no_relative_import_leaves_its_package():
    for path in FILES:
        depth = len(path.relative_to(ROOT).parts) - 1
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= depth, f"{path}:{node.lineno} climbs out of its package"


@pytest.mark.parametrize(
    ("package", "source", "complaint"),
    [
        ("wmenv", "def f():\n    import physics", "may import ['kernels'] only"),
        ("wmenv", "from agents import Policy", "may import ['kernels'] only"),
        ("wmenv", "from importlib import import_module\nimport_module('physics')", "may import ['kernels'] only"),
        ("physics", "import wmenv", "may import [] only"),
        ("agents", "from wmenv.data import EpisodeStore", "only the face"),
        ("wmenv", "from wmenv.types import DreamState", "are relative"),
    ],
)
def test_a_wrong_import_is_caught(package: str, source: str, complaint: str):
    found = faults(package, source)
    assert len(found) == 1 and complaint in found[0]


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("agents", "import physics\nfrom wmenv import InputError"),
        ("wmenv", "from .types import DreamState\nfrom kernels import frame_attention\nimport torch"),
        ("physics", "ENTRY = 'physics:make_task'"),
    ],
)
def test_a_right_import_passes(package: str, source: str):
    assert faults(package, source) == []


BLOCKED_IMPORT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)

sys.meta_path.insert(0, Blocked())
import {package}
"""


@pytest.mark.parametrize(
    ("package", "blocked"),
    [
        # wmenv and kernels run on machines that have torch but none of the simulators or agents.
        ("wmenv", ["mujoco", "dm_control", "stable_baselines3", "pyarrow", "av", "tyro", "rich", "wandb", "triton"]),
        ("wmenv", ["physics", "agents"]),
        ("kernels", ["mujoco", "gymnasium", "stable_baselines3", "triton", "wmenv", "physics", "agents"]),
        ("physics", ["torch", "stable_baselines3", "dm_control", "wmenv", "agents", "kernels"]),
    ],
)
def test_imports_without(package: str, blocked: list[str]):
    code = BLOCKED_IMPORT.format(blocked=blocked, package=package)
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert child.returncode == 0, child.stderr
