"""Every benchmark at least begins: most of them take hours, so that no other test runs them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import benchmarks

NAMES = sorted(path.stem for path in Path(benchmarks.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_can_be_imported(name: str):
    import_module(f"benchmarks.{name}")
