"""Memory that runs out, in a process with a limit and wherever an allocation could fail: what is told, what is left."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.wmenv.envs.test_paged import tiny
from wmenv.envs import DreamCore, DreamMemoryError, DreamNotReset, DreamVectorEnv, paged
from wmenv.envs.room import room_for

limited = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits address space, as Linux can")

PROGRAM = """
import re, resource, sys
import numpy as np
import torch
torch.set_num_threads(1)
from tests.wmenv.envs.test_paged import tiny
from wmenv.envs import DreamMemoryError, DreamVectorEnv

def used():
    return int(open("/proc/self/statm").read().split()[0]) * 4096

def limit(room):
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY if room is None else used() + room,) + (-1,))

model = tiny(window=64)
try:
{body}
finally:
    limit(None)
"""

TOO_MANY = """
    DreamVectorEnv(model, 2).reset(seed=0)
    limit(400 * 2**20)
    envs = DreamVectorEnv(model, 100_000)
    try:
        envs.reset(seed=0)
    except DreamMemoryError as error:
        print(error)
        fit = int(re.search("about ([0-9,]+) dreams", str(error))[1].replace(",", ""))
        del envs
        obs, _ = DreamVectorEnv(model, fit).reset(seed=0)
        print("fits", len(obs))
"""

IN_A_STEP = """
    envs, action = DreamVectorEnv(model, 3_000), np.full((3_000, 1), 0.5, np.float32)
    envs.reset(seed=0)
    before = envs.save_state()
    limit(2**20)
    try:
        envs.step(action)
        print("no error")
    except DreamMemoryError as error:
        print(error)
    limit(None)
    again = DreamVectorEnv(model, 3_000)
    again.load_state(before)
    print("same", np.array_equal(envs.step(action)[0], again.step(action)[0]))
"""


def run(body: str) -> str:
    program = PROGRAM.replace("{body}", body.strip("\n"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@limited
def test_too_many_dreams_are_told_how_many_would_fit() -> None:
    said = run(TOO_MANY)
    assert re.search(r"num_envs: expected dreams that fit into the memory of cpu, got 100,000 of about .* MiB", said)
    assert int(re.search(r"fits (\d+)", said)[1]) > 100  # type: ignore[index]


@limited
def test_a_step_without_room_takes_nothing() -> None:
    said = run(IN_A_STEP)
    assert "no error" not in said
    assert "Nothing is lost" in said and "same True" in said


def broken(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The core's `name` runs out of memory."""

    def fails(*given: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(DreamCore, name, fails)


@pytest.mark.parametrize("name", ["step", "observe", "begin"])
def test_a_step_that_fails_anywhere_can_be_made_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`begin` fails after the step was made, where its ended rows were to begin anew."""
    model, action = tiny(), np.full((3, 1), 0.5, np.float32)
    envs, twin = DreamVectorEnv(model, 3, horizon=2), DreamVectorEnv(model, 3, horizon=2)
    for each in (envs, twin):
        each.reset(seed=0), each.step(action)
    with monkeypatch.context() as patch, pytest.raises(DreamMemoryError, match="3 of about .*Nothing is lost$"):
        broken(patch, name)
        envs.step(action)
    for got, wanted in zip(envs.step(action)[:4], twin.step(action)[:4], strict=True):
        assert np.array_equal(got, wanted)


@pytest.mark.parametrize("cache", ["ring", "paged"])
def test_what_takes_the_place_of_all_rows_says_what_is_left(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rings stay what they were; pages may have been written over, so that those dreams are gone and say so."""
    model, action = tiny(), np.full((3, 1), 0.5, np.float32)
    envs, twin = DreamVectorEnv(model, 3, cache=cache), DreamVectorEnv(model, 3, cache=cache)
    for each in (envs, twin):
        each.reset(seed=0)
    kept = envs.save_state()
    for fails in (lambda: envs.reset(seed=1), lambda: envs.load_state(kept)):
        with monkeypatch.context() as patch, pytest.raises(DreamMemoryError) as error:
            broken(patch, "observe")
            fails()
        if cache == "ring":
            assert str(error.value).endswith("Nothing is lost")
            assert np.array_equal(envs.step(action)[0], twin.step(action)[0])
        else:
            assert str(error.value).endswith("The dreams that were there are gone: reset them")
            with pytest.raises(DreamNotReset):
                envs.step(action)
            envs.reset(seed=0)


@pytest.mark.parametrize("cache", ["ring", "paged"])
def test_what_takes_the_place_of_some_rows_says_what_is_left(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pool so small that what begins anew is written where the masked rows' frames were."""
    options, model = {"ring": {}, "paged": {"cache": "paged", "pages": 12}}[cache], tiny(window=3)
    action, mask = np.full((4, 1), 0.5, np.float32), np.array([True, True, False, False])
    envs, twin = DreamVectorEnv(model, 4, **options), DreamVectorEnv(model, 4, **options)
    for each in (envs, twin):
        each.reset(seed=0)
        for _ in range(4):
            each.step(action)
    with monkeypatch.context() as patch, pytest.raises(DreamMemoryError) as error:
        broken(patch, "observe")
        envs.reset(options={"reset_mask": mask, "start": 3})
    if cache == "ring":
        assert str(error.value).endswith("Nothing is lost")
        rows = np.ones(4, dtype=bool)
    else:
        assert str(error.value).endswith("are gone: reset them with their mask; the others are as they were")
        with pytest.raises(DreamNotReset, match=r"got ended rows \[0, 1\]"):
            envs.step(action)
        envs.reset(options={"reset_mask": mask})
        rows = ~mask
    for got, wanted in zip(envs.step(action)[:4], twin.step(action)[:4], strict=True):
        assert np.array_equal(got[rows], wanted[rows])


def test_a_pool_too_large_is_told_before_there_is_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object, **options: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    made = []

    def second(self: object, *given: object, **options: object) -> None:
        made.append(True)
        fails() if len(made) > 1 else works(self, *given, **options)

    works = paged.PagePool.__init__
    monkeypatch.setattr(paged.PagePool, "__init__", second)
    with pytest.raises(DreamMemoryError, match="There is no environment$"):
        DreamVectorEnv(tiny(), 3, cache="paged")


def test_other_errors_pass_through() -> None:
    with pytest.raises(RuntimeError, match="^shapes differ$"), room_for(3, 100, torch.device("cpu")):
        raise RuntimeError("shapes differ")
