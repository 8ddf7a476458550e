"""Every public name of a package can be imported, is documented, and does not turn into a module of the same name."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = ("kernels", "physics", "wmenv", "agents")


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_sorted_and_documented(package: str):
    face = import_module(package)
    assert face.__doc__
    assert list(face.__all__) == sorted(face.__all__) and len(set(face.__all__)) == len(face.__all__)
    for name in face.__all__:
        value = getattr(face, name)
        if callable(value):
            assert value.__doc__, f"{package}.{name} lacks a docstring"


@pytest.mark.parametrize("package", ["wmenv", "agents"])
@pytest.mark.parametrize("order", ["sorted(names)", "sorted(names, reverse=True)"])
def test_public_names_do_not_depend_on_the_order_of_imports(package: str, order: str):
    """A lazy face whose function is called like its module would give the module once another name has loaded it."""
    code = f"""
import {package} as face
from types import ModuleType
names = list(face.__all__)
for name in {order}:
    getattr(face, name)
wrong = [name for name in names if isinstance(getattr(face, name), ModuleType)]
assert not wrong, f"modules instead of what they define: {{wrong}}"
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert child.returncode == 0, child.stderr
