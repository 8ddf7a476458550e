"""The verb that makes a world model dream in few steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from wmenv import distill_config

from ..progress import say


@dataclass(frozen=True, kw_only=True)
class Distill:
    """Teach a world model to dream in few denoising steps; an interrupted training is resumed.

    Attributes:
        model: Folder of the world model that needs many steps, for instance of --preset tiny-flow.
        data: Folder of the recording that it learned from.
        out: Folder of the one that needs few.
        seed: Seed of batches and noise.
        overwrite: Replace a finished world model in OUT.
        options: How.
    """

    model: tyro.conf.Positional[Path]
    data: Path
    out: Path
    seed: int = 0
    overwrite: bool = False
    options: Annotated[distill_config.DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=distill_config.DistillConfig
    )

    def run(self) -> int:
        """Distils."""
        from ..world_training import distill_world_model

        model = distill_world_model(
            self.model, self.data, self.out, config=self.options, seed=self.seed, overwrite=self.overwrite
        )
        any_step = ", or in any number" if model.config.any_step else ""
        say(f"{self.out}: dreams {model.config.task} in {model.config.denoise_steps} step(s) a frame{any_step}")
        return 0
