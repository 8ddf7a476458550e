"""Every benchmark can be started: studies that run for hours are seldom run, and what they import moves meanwhile."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import benchmarks

NAMES = sorted(path.stem for path in Path(benchmarks.__file__).parent.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_is_found_and_says_what_it_is(name: str) -> None:
    module = import_module(f"benchmarks.{name}")
    assert module.__doc__ is not None and module.__doc__.splitlines()[0].endswith((".", "?"))
