"""From a world model that needs many denoising steps a frame to one that needs few.

Example:
    >>> from wmenv.distill import distill  # doctest: +SKIP
    >>> model = distill("runs/model", "runs/data", "runs/few", method="consistency", steps=1)  # doctest: +SKIP
"""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import torch

from .atomic import digest, remove_folder
from .checkpoint import packed
from .data import EpisodeStore
from .distill_config import DistillConfig
from .errors import InputError
from .train import SCRATCH, learned_part, ready
from .training import Progress
from .training.distill_stage import fit_few_steps
from .training.dynamics_stage import encode_episodes
from .world_model import WorldModel


def distill(
    model: str | Path | WorldModel,
    data: str | Path,
    out: str | Path,
    *,
    config: DistillConfig | None = None,
    seed: int = 0,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> WorldModel:
    """Train a copy of a world model to dream in few steps, or go on with such a training that was interrupted.

    Args:
        model: the teacher or its folder; for method "self_forcing" any model, one that was distilled before too.
        data: folder of the EpisodeStore that it learned from.
        out: folder of the new model, whose config.json says how many steps it makes; while training, its checkpoints
            lie in out/training.
        config: how; None for the defaults.
        seed: of batches and noise.
        overwrite: replace a finished model in `out`; without it, that is an InputError.
        device: "cpu", "cuda" (or "cuda:1"), or "auto" (a GPU when there is one).
        progress: called as progress(stage, step, of_steps, losses).
        **options: single fields of `config`, such as method="flow_map" or updates=500.

    Returns:
        The model, which is also stored in `out`. Its starts, tokenizer and heads are the teacher's.

    Raises:
        InputError, DataError, CheckpointError, TrainingError: with the field, the file or the step in the message.
    """
    config, out = _with_options(config or DistillConfig(), options), Path(out)
    place = ready(out, seed, device, overwrite=overwrite)
    given = model if isinstance(model, WorldModel) else WorldModel.from_pretrained(model)
    _check_teacher(given, config)
    store = EpisodeStore.open(data, task=given.config.task)
    if given.config.modality == "frames" and store.info.size != given.config.image_size:
        raise InputError(
            f"data: expected frames of {given.config.image_size} pixels, which the model sees, got {store.info.size}"
        )
    training = learned_part(store)
    student = few_step_copy(given, config).to(place)
    teacher = copy.deepcopy(given.dynamics).requires_grad_(False).to(place)
    recorded = encode_episodes(student, training)
    identity = {
        "model": digest(packed(given.state_dict())),
        "data": store.fingerprint,
        "config": dataclasses.asdict(config),
        "seed": seed,
    }
    fit_few_steps(student, teacher, recorded, config, out / SCRATCH, seed=seed, identity=identity, progress=progress)
    student.eval().requires_grad_(False)
    student.forget_pages()
    student.save_pretrained(out)
    remove_folder(out / SCRATCH)
    return student


def few_step_copy(given: WorldModel, config: DistillConfig) -> WorldModel:
    """A model with the weights of `given` whose configuration is that of the model to come, on the CPU."""
    changed = dataclasses.replace(
        given.config, denoise_steps=config.steps, distilled=(*given.config.distilled, config.method)
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # of what the teacher lacks
        student = WorldModel(changed)
    student.load_state_dict({**student.state_dict(), **{name: t.cpu() for name, t in given.state_dict().items()}})
    return student


def _check_teacher(given: WorldModel, config: DistillConfig) -> None:
    if config.method == "self_forcing":
        return
    if given.config.distilled:
        raise InputError(
            f"model: expected a model as it was trained, got one made by {', then '.join(given.config.distilled)}; "
            "give its teacher, or choose method='self_forcing'"
        )
    most = config.steps if config.method == "consistency" else 1
    if given.config.denoise_steps <= most:
        raise InputError(
            f"model: expected one that makes more than {most} denoising steps a frame, got one that makes "
            f"{given.config.denoise_steps}; train a teacher with preset='tiny-flow', or distil to fewer steps"
        )


def _with_options(config: DistillConfig, options: dict[str, Any]) -> DistillConfig:
    names = [field.name for field in dataclasses.fields(config)]
    for name in options:
        if name not in names:
            raise InputError(f"{name}: expected one of {', '.join(names)}, got an unknown option")
    return dataclasses.replace(config, **options)
