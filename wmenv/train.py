"""From a recorded data set to a world model: fit the tokenizer, encode everything, fit dynamics and heads.

Example:
    >>> from wmenv.train import train  # doctest: +SKIP
    >>> model = train("runs/demo/data", "runs/demo/model", preset="tiny")  # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch

from .atomic import digest, remove_folder, remove_leftover
from .checkpoint import CONFIG, packed
from .config import WorldModelConfig
from .data import DataInfo, Episode, EpisodeStore
from .device import named_device
from .errors import DataError, InputError
from .presets import Preset, preset_named
from .ranges import check_whole
from .tokenizers import group_slots
from .training import Progress
from .training.dynamics_stage import fit_dynamics
from .training.frames_stage import fit_frames
from .world_model import WorldModel

SCRATCH = "training"  # folder of an unfinished training's checkpoints
HELD_OUT = 10  # every tenth episode is never trained on

Item = TypeVar("Item")


def train(
    data: str | Path,
    out: str | Path,
    *,
    preset: str | Preset = "tiny",
    seed: int = 0,
    init: str | Path | WorldModel | None = None,
    modality: str | None = None,
    task: str | None = None,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> WorldModel:
    """Train a world model, or go on with a training that was interrupted.

    Args:
        data: folder of an EpisodeStore.
        out: folder of the model; while training, its checkpoints lie in out/training.
        preset: a name of `wmenv.presets`, or a Preset of your own.
        seed: of initial weights, batches and noise.
        init: a model (or its folder) of the same task and sizes to go on from, for the Dyna loop.
        modality: "frames" or "state"; by default frames when the data set has them.
        task: the task that the data set must be a recording of; None for any.
        overwrite: replace a finished model in `out`; without it, that is an InputError.
        device: "cpu", "cuda" (or "cuda:1"), or "auto" (a GPU when there is one).
        progress: called as progress(stage, step, of_steps, losses).

    Returns:
        The model, which is also stored in `out`.

    Raises:
        InputError, DataError, CheckpointError, TrainingError: with the field, the file or the step in the message.
    """
    sizes = preset if isinstance(preset, Preset) else preset_named(preset)
    out = Path(out)
    place = ready(out, seed, device, overwrite=overwrite)
    store = EpisodeStore.open(data, task=task)
    modality = modality or ("state" if store.info.size is None else "frames")
    if modality not in ("frames", "state"):
        raise InputError(f"modality: expected 'frames' or 'state', got {modality!r}")
    if modality == "frames" and store.info.size is None:
        raise InputError("modality: expected 'state' for a data set without frames, got 'frames'; record with frames")
    training = learned_part(store)
    with torch.random.fork_rng(devices=[]):  # initial weights; the caller's stream goes on as if none were drawn
        if init is not None and not isinstance(init, WorldModel):
            init = WorldModel.from_pretrained(init)
        torch.default_generator.manual_seed(seed)
        model = WorldModel(make_config(store.info, training, sizes, modality))
        if init is not None:
            _check_same(init.config, model.config)
            model.load_state_dict({**model.state_dict(), **_weights(init)})
        model = model.to(place)
        identity = {
            "data": store.fingerprint,
            "preset": dataclasses.asdict(sizes),
            "seed": seed,
            "modality": modality,
            "init": None if init is None else _fingerprint(init),
        }
        scratch = out / SCRATCH
        warm = init is not None
        if modality == "frames":
            fit_frames(model, training, sizes, scratch, seed=seed, identity=identity, progress=progress, warm=warm)
        fit_dynamics(model, training, sizes, scratch, seed=seed, identity=identity, progress=progress, warm=warm)
    model.eval().requires_grad_(False)
    model.save_pretrained(out)
    remove_folder(scratch)
    return model


def ready(out: Path, seed: int, device: str, *, overwrite: bool) -> torch.device:
    """Where a training into `out` runs, once its seed and folder are sound.

    Raises:
        InputError: the seed or the device is none, or `out` holds a finished model that is not to be overwritten.
    """
    check_whole("seed", seed, 0, 2**63 - 1)
    place = named_device(device)
    remove_leftover(out / SCRATCH)
    if (out / CONFIG).exists() and not (out / SCRATCH).exists() and not overwrite:
        raise InputError(
            f"out: expected a new folder, got {out} with a finished model; choose another or pass overwrite"
        )
    return place


def learned_part(store: EpisodeStore) -> list[Episode]:
    """The recorded episodes that are learned from.

    Raises:
        DataError: nothing is recorded, or a file is damaged.
    """
    episodes = store.load()
    if not episodes:
        raise DataError(f"{store.path}: expected recorded episodes, got none; record some first")
    return parted(episodes)[0]


def held_out(index: int, total: int) -> bool:
    """Whether episode `index` of `total` is kept for measuring; the last one always is, so that one exists."""
    return index % HELD_OUT == HELD_OUT - 1 or (total < HELD_OUT and total > 1 and index == total - 1)


def parted(episodes: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """The episodes to learn from, and those kept for measuring."""
    parts: tuple[list[Item], list[Item]] = ([], [])
    for index, episode in enumerate(episodes):
        parts[held_out(index, len(episodes))].append(episode)
    return parts


def make_config(info: DataInfo, episodes: list[Episode], sizes: Preset, modality: str) -> WorldModelConfig:
    """The model's configuration for a data set."""
    frames = modality == "frames"
    slots, tokens, channels = (
        ([], sizes.grid**2, sizes.token_dim) if frames else group_slots(info.state_groups, sizes.max_tokens)
    )
    states = torch.cat([torch.from_numpy(e.state) for e in episodes])
    return WorldModelConfig(
        task=info.task,
        modality=modality,
        fps=info.fps,
        image_size=info.size if frames else None,
        state_names=info.state_names,
        state_low=tuple(states.min(0).values.tolist()),
        state_high=tuple(states.max(0).values.tolist()),
        state_slots=tuple(slots),
        action_low=info.action_low,
        action_high=info.action_high,
        max_episode_steps=info.max_episode_steps,
        history=sizes.history_frames if frames else sizes.history_state,
        num_tokens=tokens,
        token_dim=channels,
        vae_width=sizes.vae_width if frames else 0,
        grid=sizes.grid if frames else 0,
        width=sizes.width,
        depth=sizes.depth,
        heads=sizes.heads,
        window=sizes.window_frames if frames else sizes.window_state,
        head_width=sizes.head_width,
        denoise_steps=sizes.denoise_steps,
        num_starts=min(sizes.starts, sum(len(e.action) for e in episodes)),
    )


def _weights(model: WorldModel) -> dict[str, torch.Tensor]:
    return {name: t for name, t in model.state_dict().items() if not name.startswith("start_")}


def _fingerprint(model: WorldModel) -> str:
    """What tells a training from this model from one that began elsewhere."""
    return digest(packed(_weights(model)))


def _check_same(old: WorldModelConfig, new: WorldModelConfig) -> None:
    varying = {"state_low", "state_high", "num_starts"}
    for field in dataclasses.fields(new):
        a, b = getattr(old, field.name), getattr(new, field.name)
        if field.name not in varying and a != b:
            raise InputError(f"init: expected a model with {field.name} = {b}, got {a}; use the same task and preset")
