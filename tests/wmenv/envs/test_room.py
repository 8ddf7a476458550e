"""Memory that really runs out, in a process of its own with a limit: the error names a number that really fits."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits address space, as Linux can")

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
    program = PROGRAM.replace("asked = {kind}\n", "").replace("{body}", body.strip("\n"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_too_many_dreams_are_told_how_many_would_fit() -> None:
    said = run(TOO_MANY)
    assert re.search(r"num_envs: expected dreams that fit into the memory of cpu, got 100,000 of about .* MiB", said)
    assert int(re.search(r"fits (\d+)", said)[1]) > 100  # type: ignore[index]


def test_a_step_without_room_takes_nothing() -> None:
    said = run(IN_A_STEP)
    assert "no error" not in said
    assert "Nothing is lost" in said and "same True" in said
