"""A training that is killed, in any stage and more than once, ends with the weights of an unbroken one, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.wmenv.tiny import make_store, preset
from wmenv.train import train

DRIVER = Path(__file__).with_name("kill_driver.py")


def killed(data: Path, folder: Path, *kills: int, init: Path | str = "") -> list[str]:
    """The checkpoints left by each kill, from a driver that compared the final weights."""
    out = subprocess.run(
        [sys.executable, str(DRIVER), str(data), str(folder), str(init), *map(str, kills)],
        capture_output=True,
        text=True,
        timeout=280,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert out.returncode == 0, out.stdout + out.stderr
    return out.stdout.splitlines()


def test_frames_killed_in_both_stages(tmp_path: Path):
    make_store(tmp_path / "data")
    left = killed(tmp_path / "data", tmp_path, 5, 5 + 3, 5)
    assert left == ["tokenizer:3/8", "dynamics:1/12 tokenizer:8/8", "dynamics:4/12 tokenizer:8/8"]


def test_a_state_model_goes_on_from_init(tmp_path: Path):
    """Trained on from `init`, 0.4 of the steps."""
    make_store(tmp_path / "data", frames=False)
    train(tmp_path / "data", tmp_path / "init", preset=preset(), seed=1, device="cpu")
    assert killed(tmp_path / "data", tmp_path, 5, init=tmp_path / "init") == ["dynamics:3/5"]
