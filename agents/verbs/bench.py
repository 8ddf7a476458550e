"""The verb that measures the engine."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from ..progress import say


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Measure the engine's ratios R1 to R10 and R12, and draw them: OUT/cpu.json or cuda.json, and OUT/bench.html.

    Attributes:
        out: Folder of what was measured; its page shows both devices' files.
        only: Some ratios, such as R1,R5, whose rows take the place of older ones in OUT.
        device: Where to measure.
        quick: Small sizes and few rounds, to see that all works.
    """

    out: Path = Path("runs/bench")
    only: str | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    quick: bool = False

    def run(self) -> int:
        """Measures."""
        from ..bench.run import bench

        command = shlex.join(["wmenv", *sys.argv[1:]])
        failed = bench(
            self.out,
            command=command,
            only=self.only,
            device=self.device,
            quick=self.quick,
            say=partial(print, flush=True),
        )
        say(f"{self.out / 'bench.html'}: the page")
        return int(bool(failed))
