"""The training loop: every random number comes from (seed, step), so a step can be repeated after a crash.

A checkpoint holds weights, buffers and optimizer moments; nothing else has a memory. Resuming from any of them gives
the same final weights as an unbroken run, bit for bit on the CPU of one machine with one thread count. On a GPU, where
some sums have no fixed order, equal weights are not promised.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import torch
from torch import Tensor, nn

from ..checkpoint import load_tensors, read_checkpoint, write_checkpoint
from ..device import multiplies_bfloat16
from ..errors import CheckpointError, TrainingError
from .signals import hold_signals

SAVE_SECONDS = 20.0
STEM = "training"

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called as progress(stage, step, of_steps, losses)."""


class Loss(Protocol):
    """One step's loss, from a generator that is seeded for that step alone."""

    def __call__(self, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The summed loss and its parts."""
        ...


@dataclass(kw_only=True, slots=True)
class Stage:
    """One thing to optimise.

    Attributes:
        name: unique within a training run.
        module: holds every parameter and buffer that the stage changes or depends on.
        loss: see `Loss`.
        steps: optimizer steps in all.
        rate: peak learning rate; 50 steps of warm-up, then constant, then linear to 0 over the last 60%.
        autocast: run the loss in bfloat16 where matmuls allow and the device has units for it.
    """

    name: str
    module: nn.Module
    loss: Loss
    steps: int
    rate: float
    autocast: bool = True
    done: int = field(default=0, init=False)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Warm-up, plateau, linear decay."""
    left = 1 - step / steps
    return peak * min(1.0, (step + 1) / 50) * min(1.0, left / 0.6)


def run_stage(
    stage: Stage, folder: Path, *, seed: int, identity: dict[str, Any], progress: Progress | None = None
) -> None:
    """Optimise `stage` to its end, going on from a checkpoint in `folder` when there is one of the same run.

    Args:
        stage: what to optimise; its module holds the result.
        folder: where checkpoints go.
        seed: of every random number.
        identity: what must agree for a checkpoint to belong to this run (data, preset, seed, ...).
        progress: called a few times a second.

    Raises:
        TrainingError: a loss or gradient is not finite; the last good checkpoint stays.
        CheckpointError: the checkpoint is damaged or cannot be written.
    """
    parameters = [p for p in stage.module.parameters() if p.requires_grad]
    device = parameters[0].device
    # fused: one pass over each tensor; on a GPU that asks for the step counter there, which checkpoints keep on the CPU
    fused = device.type == "cpu"
    optimizer = torch.optim.AdamW(parameters, lr=stage.rate, betas=(0.9, 0.95), weight_decay=0.01, fused=fused)
    autocast = stage.autocast and multiplies_bfloat16(device)
    start = _restore(stage, optimizer, parameters, folder, identity)
    saved = shown = time.monotonic()
    mean: dict[str, float] = {}
    try:
        for step in range(start, stage.steps):
            generator = torch.Generator().manual_seed(_mix(seed, stage.name, step))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, stage.steps, stage.rate)
            with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
                loss, parts = stage.loss(generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(parameters, 1.0)
            _check_finite(stage.name, step, loss, norm, parts, folder)
            with hold_signals():
                optimizer.step()
                stage.done = step + 1
            for name, value in parts.items():
                mean[name] = value.item() + 0.98 * (mean.get(name, value.item()) - value.item())
            now = time.monotonic()
            if progress and (now - shown > 0.3 or stage.done == stage.steps):
                progress(stage.name, stage.done, stage.steps, mean)
                shown = now
            if now - saved > SAVE_SECONDS:
                _save(stage, optimizer, parameters, folder, identity)
                saved = time.monotonic()
    except KeyboardInterrupt:
        _save(stage, optimizer, parameters, folder, identity)
        raise
    _save(stage, optimizer, parameters, folder, identity)


def _mix(seed: int, name: str, step: int) -> int:
    """A seed for one step of one stage, of 32 bits: torch's CPU generator ignores the rest. Steps never share one."""
    return (crc32(f"{seed} {name}".encode()) + step) % 2**32


def _check_finite(stage: str, step: int, loss: Tensor, norm: Tensor, parts: dict[str, Tensor], folder: Path) -> None:
    if math.isfinite(loss.item()) and math.isfinite(norm.item()):
        return
    values = ", ".join(f"{name} {value.item():.4g}" for name, value in parts.items())
    stored = (folder / f"{STEM}-{stage}.json").exists()
    left = f"the last good checkpoint is in {folder}" if stored else "no checkpoint was written yet"
    raise TrainingError(
        f"{stage}: step {step}: expected a finite loss and gradient, got loss {loss.item():.4g} ({values}), gradient "
        f"{norm.item():.4g}; {left}; lower the learning rate or look at the data"
    )


def _save(
    stage: Stage,
    optimizer: torch.optim.Optimizer,
    parameters: list[nn.Parameter],
    folder: Path,
    identity: dict[str, Any],
) -> None:
    tensors = {f"module.{name}": tensor for name, tensor in stage.module.state_dict().items()}
    for i, parameter in enumerate(parameters):
        for name, tensor in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{i}.{name}"] = torch.as_tensor(tensor)
    description = {"identity": identity, "stage": stage.name, "step": stage.done, "steps": stage.steps}
    write_checkpoint(folder, description, tensors, stem=f"{STEM}-{stage.name}")


def _restore(
    stage: Stage,
    optimizer: torch.optim.Optimizer,
    parameters: list[nn.Parameter],
    folder: Path,
    identity: dict[str, Any],
) -> int:
    """Load a checkpoint of the same run into stage and optimizer; the step to go on from."""
    stem = f"{STEM}-{stage.name}"
    if not (folder / f"{stem}.json").exists():
        return 0
    description, tensors = read_checkpoint(folder, stem=stem)
    if description.get("identity") != identity or description.get("steps") != stage.steps:
        raise CheckpointError(
            f"{folder / stem}.json: expected a checkpoint of this run, got one with other data or settings; "
            "finish that run with its own settings, or remove the folder to start again"
        )
    done = description.get("step")
    if type(done) is not int or not 0 <= done <= stage.steps:
        raise CheckpointError(
            f"{folder / stem}.json: step: expected 0 to {stage.steps}, got {done!r}; remove the folder"
        )
    module = {name.removeprefix("module."): t for name, t in tensors.items() if name.startswith("module.")}
    load_tensors(stage.module, module, folder / f"{stem}.json")
    for i, parameter in enumerate(parameters):
        own = {n.split(".", 2)[2]: t for n, t in tensors.items() if n.startswith(f"optimizer.{i}.")}
        if own:
            # moments live beside their parameter and laid out as it is: a fused step pairs numbers by where they lie
            optimizer.state[parameter] = {
                n: t if n == "step" else torch.empty_like(parameter).copy_(t) for n, t in own.items()
            }
    stage.done = done
    return stage.done
