"""The verb that tunes a world model by physics."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ..align.config import AlignConfig
from ..progress import progress_bar, say


@dataclass(frozen=True, kw_only=True)
class Align:
    """Tune a world model by what physics says of its dreams; a killed run goes on where it was.

    OUT gets the tuned model, metrics.jsonl, and align.json and align.html with what was gained and lost.

    Attributes:
        model: Folder of the world model.
        out: Folder of the tuned one.
        data: Folder of the recording that the model learned from; by default some steps are recorded.
        task: Id of the real task, to be sure that the model dreams it.
        policy: Folder of a policy that acts in a share (--policy-share) of the dreams.
        seed: Of everything that is drawn.
        tensorboard: Also write TensorBoard events.
        wandb: Also log to Weights & Biases, offline unless WANDB_MODE says otherwise.
        options: How.
    """

    model: tyro.conf.Positional[Path]
    out: Path
    data: Path | None = None
    task: str | None = None
    policy: Path | None = None
    seed: int = 0
    tensorboard: bool = False
    wandb: bool = False
    options: Annotated[AlignConfig, tyro.conf.arg(name="")] = field(default_factory=AlignConfig)

    def run(self) -> int:
        """Tunes."""
        from ..tune import tune

        with progress_bar("align") as progress:
            found = tune(
                self.model,
                self.out,
                data=self.data,
                task=self.task,
                config=self.options,
                seed=self.seed,
                policy=self.policy,
                tensorboard=self.tensorboard,
                wandb=self.wandb,
                progress=progress,
            )
        for world in ("V", "J"):
            before, after = (100 * found[when][world]["violations"] for when in ("before", "after"))
            print(f"{world}: {before:.1f}% of dreamed frames look like no real one before, {after:.1f}% after")
        say(f"{self.out}: the tuned model, align.json and align.html")
        return 0
