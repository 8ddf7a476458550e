"""Bounds are in, and what is no number is refused by name, whatever Python would make of it."""

from __future__ import annotations

import math

import pytest

from wmenv import InputError
from wmenv.ranges import check_number, check_whole


@pytest.mark.parametrize(("value", "least", "most"), [(1, 1, None), (10**30, 1, None), (0, 0, 3), (3, 0, 3)])
def test_integers_in_range(value: int, least: int, most: int | None):
    check_whole("rows", value, least, most)


@pytest.mark.parametrize("value", [0, 5, True, 2.0, math.nan, "2", None, [2]])
def test_other_integers(value: object):
    with pytest.raises(InputError, match="^rows: expected an integer from 1 to 4, got "):
        check_whole("rows", value, 1, 4)
    if value != 5:
        with pytest.raises(InputError, match="^rows: expected an integer >= 1, got "):
            check_whole("rows", value, 1)


@pytest.mark.parametrize("value", [0, 1, 0.5, 0.0, 1.0])
def test_numbers_in_range(value: float):
    check_number("rate", value, 0, 1)
    check_number("rate", value, 0)


@pytest.mark.parametrize("value", [-1e-9, 1.1, math.inf, math.nan, True, "0.5", None])
def test_other_numbers(value: object):
    with pytest.raises(InputError, match="^rate: expected a number from 0 to 1, got "):
        check_number("rate", value, 0, 1)
    if value not in (1.1, math.inf):
        with pytest.raises(InputError, match="^rate: expected a number >= 0, got "):
            check_number("rate", value, 0)
