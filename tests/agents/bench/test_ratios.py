"""The engine's bench compares ways that do the same work."""

from __future__ import annotations

import torch

from benchmarks import engine


def test_both_ways_of_committing_dream_the_same() -> None:
    eager, lazy = (engine.Dreams("tiny", 2, 2, lazy=wanted) for wanted in (False, True))
    torch.testing.assert_close(eager.latent, lazy.latent, rtol=0, atol=1e-5)


def test_a_line_says_whether_the_target_is_reached() -> None:
    row = engine.line("R2", "part", "setting", [1.0, 1.2, 1.4], 1.25, None)
    assert (row["ratio"], row["reached"]) == (1.2, False) and row["low"] < row["ratio"] < row["high"]
    assert engine.line("R2", "part", "setting", [2.0], None, 0.0)["reached"] is None


def test_codecs_are_as_small_as_they_say_and_pay_for_it() -> None:
    int8, int4 = engine.codecs()
    assert int8["ratio"] < int4["ratio"] and 0 < int8["error"] < int4["error"] < 1
