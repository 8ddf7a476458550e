"""Proves what a stranger's `pip install` gets: one wheel with four packages and a command, in a clean environment."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PACKAGES = ("wmenv", "physics", "agents", "kernels")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

LOOK = """
import importlib.util, json, pathlib
from importlib import metadata
owners = metadata.packages_distributions()
specs = {name: importlib.util.find_spec(name) for name in %r}
print(json.dumps({
    "parents": {name: str(pathlib.Path(spec.origin).parent.parent) for name, spec in specs.items()},
    "owners": {name: sorted(set(owners[name])) for name in specs},
    "version": metadata.version("wmenv"),
    "script": [point.value for point in metadata.entry_points(group="console_scripts") if point.name == "wmenv"],
}))
"""


def run(*command: str | Path) -> str:
    """The command's output; its error output is the assertion's message if it fails."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    arguments = [str(part) for part in command]
    child = subprocess.run(arguments, cwd="/", env=environment, capture_output=True, text=True, timeout=240)
    assert child.returncode == 0, child.stderr[-2000:]
    return child.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = f"import os; os.chdir({str(ROOT)!r}); from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    run(sys.executable, "-c", build)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def clean_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that holds the wheel alone."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "-q", wheel)
    return python


def test_wheel_holds_the_four_packages_and_nothing_else(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, f"wmenv-{PROJECT['version']}.dist-info"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".tmp"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_holds_every_tracked_file(wheel: Path):
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    present = {name for name in tracked.stdout.splitlines() if (ROOT / name).exists()}
    assert present <= set(zipfile.ZipFile(wheel).namelist())


def test_four_packages_share_one_parent_and_one_owner(clean_python: Path):
    look = json.loads(run(clean_python, "-c", LOOK % (PACKAGES,)))
    assert len(set(look["parents"].values())) == 1
    assert look["owners"] == {name: ["wmenv"] for name in PACKAGES}
    assert look["version"] == PROJECT["version"]
    assert look["script"] == ["agents.cli:main"]


def test_installed_command_answers(clean_python: Path):
    """The dependencies come from this environment, behind the clean one's own folder, so that nothing is downloaded."""
    (library,) = (clean_python.parent.parent / "lib").glob("python3*/site-packages")
    (library / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    place = run(clean_python, "-c", "import wmenv, physics, kernels, agents; print(agents.__file__)").strip()
    assert Path(place).is_relative_to(library)
    usage = run(clean_python.parent / "wmenv", "--help")
    assert all(verb in usage for verb in ("record", "train", "imagine", "evaluate", "loop", "demo", "doctor"))


def test_versions_agree():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{PROJECT['version']}]" in changelog or "## [Unreleased]" in changelog
    assert PROJECT["requires-python"] == ">=3.11,<3.13"


def test_every_dependency_is_pinned_in_constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert declared() - {"triton"} <= pinned, declared() - pinned
    local = [line for line in lines if "==" in line and not line.startswith("#") and ("+" in line or "://" in line)]
    assert not local, "a pin must hold on every machine"


def test_every_imported_package_is_declared():
    owners = metadata.packages_distributions()
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            for top in {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - set(PACKAGES):
                found = {normalized(owner) for owner in owners.get(top, [top])}
                assert found & declared(), f"{path}:{node.lineno}: {top} is imported but not declared in pyproject.toml"


def declared() -> set[str]:
    """Names of all distributions that pyproject.toml asks for, in whichever extra."""
    wanted = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
    return {normalized(Requirement(requirement).name) for requirement in wanted} - {"wmenv"}


def normalized(name: str) -> str:
    """'dm_control' and 'dm-control' are one distribution."""
    return name.lower().replace("_", "-")
