"""Run as a script by test_kill: trains in forks that kill themselves between two checkpoints, then compares weights.

Torch is imported once and every training is a fork, so that five real SIGKILLs take seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.wmenv.forked import status_of  # noqa: E402
from tests.wmenv.tiny import preset, same_tensors  # noqa: E402
from wmenv.train import train  # noqa: E402
from wmenv.training import run  # noqa: E402
from wmenv.world_model import WorldModel  # noqa: E402

SAVE_EVERY = 3


def learn(data: str, out: Path, init: str | None, kill_at: int | None) -> None:
    """Trains, saving every third step; with `kill_at`, SIGKILL falls after this many updates of this process."""
    update, updates = torch.optim.AdamW.step, 0

    def counted(self, closure=None):
        nonlocal updates
        updates += 1
        if updates == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        run.SAVE_SECONDS = -1.0 if updates % SAVE_EVERY == 0 else 1e9
        return update(self, closure)

    torch.optim.AdamW.step = counted
    train(data, out, preset=preset(), init=init, device="cpu")


def main(data: str, folder: str, init: str | None, kills: list[int]) -> None:
    """Trains once unbroken and once killed after each of `kills` updates; says which checkpoints were gone on from."""
    whole, broken = Path(folder) / "whole", Path(folder) / "broken"
    assert status_of(lambda: learn(data, whole, init, None)) == 0
    for kill_at in kills:
        status = status_of(lambda kill_at=kill_at: learn(data, broken, init, kill_at))
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"ended by itself: {status}"
        assert not (broken / "config.json").exists()
        found = [json.loads(p.read_text()) for p in sorted((broken / "training").glob("*.json"))]
        print(*(f"{f['stage']}:{f['step']}/{f['steps']}" for f in found))
    assert status_of(lambda: learn(data, broken, init, None)) == 0
    a, b = (WorldModel.from_pretrained(path).state_dict() for path in (whole, broken))
    assert same_tensors(a, b), sorted(name for name in a if not torch.equal(a[name], b[name]))
    assert not (broken / "training").exists() and not list(broken.rglob(".tmp-*"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] or None, [int(k) for k in sys.argv[4:]])
