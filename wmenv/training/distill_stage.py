"""Fitting the dynamics of a world model to few denoising steps, by any of the objectives for it.

Tokenizer, reward and termination heads stay as they are: they read latents, however these were made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.windows import Clip, LatentEpisodes
from ..distill_config import DistillConfig
from ..dynamics import Dynamics
from ..objectives import consistency_loss, flow_map_loss, self_forcing_loss
from ..world_model import WorldModel
from .run import Progress, Stage, run_stage


def fit_few_steps(
    model: WorldModel,
    teacher: Dynamics,
    data: LatentEpisodes,
    config: DistillConfig,
    folder: Path,
    *,
    seed: int,
    identity: dict[str, Any],
    progress: Progress | None,
) -> None:
    """Train the dynamics of `model` in place; `teacher` is only read, by consistency and flow_map."""
    student = model.dynamics.requires_grad_(True)
    objective = {"consistency": consistency_loss, "flow_map": flow_map_loss}.get(config.method)
    frames = config.frames if objective else config.frames + student.config.window

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        clip = Clip(*(field.to(model.device) for field in data.sample(config.rows, frames, generator)))
        if objective is None:
            return self_forcing_loss(student, model.tokenizer.project, clip, config, generator)
        return objective(student, teacher, clip, config, generator)

    stage = Stage(
        name=config.method,
        module=student,
        loss=loss,
        steps=config.updates,
        rate=config.rate,
        autocast=False,  # a target is a small difference along a path, which eight bits of mantissa blur
    )
    run_stage(stage, folder, seed=seed, identity=identity, progress=progress)
