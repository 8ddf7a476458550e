"""Which Tritons the kernels are tried with: the installed one, and those in folders that `WMENV_TRITONS` names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `check` runs once for each Triton, or is skipped with the reason."""
    if "check" not in metafunc.fixturenames:
        return
    folders = [Path(p) for p in os.environ.get("WMENV_TRITONS", "").split(os.pathsep) if p]
    if find_spec("triton"):
        folders.insert(0, None)
    missing = pytest.mark.skip(
        reason="triton is not installed: pip install 'wmenv[gpu]', or name folders that hold one"
    )
    params = folders or [pytest.param(None, marks=missing)]
    metafunc.parametrize("check", params, indirect=True, ids=lambda p: p.name if p else "installed")


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Runs triton_checks.py in a process of its own, since Triton reads its settings and Mesa's LLVM only once."""

    def run(*args: str, **variables: str) -> Any:
        paths = [str(request.param)] if request.param else []
        paths += [str(ROOT), os.environ.get("PYTHONPATH", "")]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", **variables}
        script = Path(__file__).with_name("triton_checks.py")
        done = subprocess.run([sys.executable, script, *args], env=env, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run
