"""Where training numbers go: an appended JSONL file is the record; a progress bar, TensorBoard and wandb are views."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, TensorBoardOutputFormat

from wmenv import InputError

from .progress import Progress
from .rows import append_row

RECORD_NAME = "metrics.jsonl"


class JsonlWriter(KVWriter):
    """Appends one JSON object a row, so that a killed run keeps every row it finished."""

    def __init__(self, path: str | Path, **constant: Any) -> None:
        """Says where.

        Args:
            path: Its folder is made if missing.
            **constant: Fields of every row, such as the stage or the seed.
        """
        self._path, self._constant = Path(path), constant

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Writes one row: time in s since the epoch, `steps`, the constant fields and every finite number."""
        row = {"time": round(time.time(), 3), "steps": int(step), **self._constant}
        row |= {key: number for key, value in sorted(key_values.items()) if (number := _finite(value)) is not None}
        append_row(self._path, row)

    def close(self) -> None:
        """Every row is already in the file."""


class WandbWriter(KVWriter):
    """Sends rows to Weights & Biases; offline unless WANDB_MODE says otherwise."""

    def __init__(self, folder: str | Path, config: Mapping[str, Any]) -> None:
        """Starts a run.

        Args:
            folder: Where wandb keeps its files.
            config: Shown as the run's configuration.

        Raises:
            InputError: wandb is not installed.
        """
        try:
            import wandb
        except ImportError as error:
            raise InputError("wandb: expected it installed, got ImportError; pip install wandb") from error
        Path(folder).mkdir(parents=True, exist_ok=True)
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        quiet = wandb.Settings(silent=True)  # it would talk over the progress bar
        self._run = wandb.init(project="wmenv", dir=str(folder), config=dict(config), mode=mode, settings=quiet)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Logs the finite numbers of one row."""
        self._run.log({key: n for key, value in key_values.items() if (n := _finite(value)) is not None}, step=step)

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()


def make_writers(
    folder: str | Path, config: Mapping[str, Any], *, tensorboard: bool = False, wandb: bool = False, before: int = 0
) -> list[KVWriter]:
    """The writers of one training run.

    Args:
        folder: Holds `metrics.jsonl` and the folders of the others.
        config: What the run was told, for wandb.
        tensorboard: Also write TensorBoard events under `tensorboard/`.
        wandb: Also log to Weights & Biases, offline by default, under `wandb/`.
        before: Steps that were done before this run; all rows count from there.

    Returns:
        Open writers; close each when done.
    """
    folder = Path(folder)
    writers: list[KVWriter] = [JsonlWriter(folder / RECORD_NAME, seed=config.get("seed"))]
    if tensorboard:
        try:
            writers.append(TensorBoardOutputFormat(str(folder / "tensorboard")))
        except (ImportError, AssertionError) as error:
            raise InputError("tensorboard: expected it installed, got none; pip install tensorboard") from error
    if wandb:
        writers.append(WandbWriter(folder, config))
    return [_Onward(writer, before) for writer in writers] if before else writers


class _Onward(KVWriter):
    """Counts the steps of a warm start on from those before."""

    def __init__(self, writer: KVWriter, before: int) -> None:
        self._writer, self._before = writer, before

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self._writer.write(key_values, key_excluded, step + self._before)

    def close(self) -> None:
        self._writer.close()


class ProgressCallback(BaseCallback):
    """Tells a `Progress` function how far PPO is, a few times a second."""

    def __init__(self, progress: Progress, total: int, every_seconds: float = 0.2) -> None:
        """Shows `total` steps as the whole."""
        super().__init__()
        self._progress, self._total, self._every = progress, total, every_seconds
        self._last = -math.inf

    def _on_step(self) -> bool:
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._tell()
        return True

    def _on_training_end(self) -> None:
        self._tell()

    def _tell(self) -> None:
        episodes = self.model.ep_info_buffer or []
        numbers = {"return": sum(e["r"] for e in episodes) / len(episodes)} if episodes else {}
        self._progress(min(self.num_timesteps, self._total), self._total, numbers)


class VerdictCallback(BaseCallback):
    """Logs what a verifier says of the dreams, where one does: the typical score, and the share of impossible steps."""

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        if "physics" in infos[0]:
            self.logger.record_mean("dream/physics", float(np.median([info["physics"] for info in infos])))
            self.logger.record_mean("dream/impossible", float(np.mean(["impossible" in info for info in infos])))
        return True


class StepCounter(BaseCallback):
    """Remembers how many steps were done, also when training ends by an exception."""

    steps = 0

    def _on_step(self) -> bool:
        self.steps = self.num_timesteps
        return True


def _finite(value: Any) -> float | int | str | None:
    if isinstance(value, str):
        return value
    try:
        number = value if isinstance(value, int) else float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
