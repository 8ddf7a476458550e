"""Tuning a generator by what physics says of its dreams: from a model and its recording to a tuned model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import physics
from wmenv import EpisodeStore, InputError, WorldModel, atomic, checkpoint

from ..callbacks import make_writers
from ..imagine import load_model
from ..policy import Policy
from ..progress import Progress
from .config import AlignConfig
from .dreams import Driver
from .drivers import Acting, Mixture, Random, Recorded
from .grading import Grader
from .real_data import RealData
from .run import Rounds, make_learner
from .verifiers import WORLDS, centred_worlds, check_readable, read_worlds, rewarding_verifier, write_worlds

SCRATCH, ORIGIN = "alignment", "origin.json"
VERIFIER = "verifier.json"


def align(
    model: WorldModel | str | Path,
    data: str | Path,
    out: str | Path,
    *,
    config: AlignConfig | None = None,
    seed: int = 0,
    policy: Policy | str | Path | None = None,
    verifier: physics.MotionVerifier | physics.FrameVerifier | None = None,
    device: str = "auto",
    tensorboard: bool = False,
    wandb: bool = False,
    progress: Progress | None = None,
) -> WorldModel:
    """Tunes a copy of a world model and stores it; goes on where a run of the same settings was stopped.

    A run that is done already is read, not done again.

    Args:
        model: A world model or its folder.
        data: Folder of the recording that it learned from: real starts, real actions, and what must not be forgotten.
        out: Folder of the tuned model; also gets `metrics.jsonl` with a row a round, `origin.json`: of what it was
            made, and how, and where V was made `worlds.json`: its worlds.
        config: Options; None for the defaults.
        seed: Of everything that is drawn.
        policy: Acts in `config.policy_share` of the dreams.
        verifier: Grades the dreams; None: V, made of the recording (see `agents.align.verifiers`), or for frames the
            shipped estimator's.
        device: "cpu", "cuda" or "auto".
        tensorboard: Also write TensorBoard events.
        wandb: Also log to Weights & Biases (offline by default).
        progress: Told how far it is.

    Returns:
        The tuned model.

    Raises:
        InputError: `out` holds the finished model of another run, the verifier or the data are another task's, or
            `config.policy_share` is above 0 without a policy.
        EstimatorError: There is no verifier, and none is shipped for frames of this task.
        DataError: The recording is too short.
        TrainingError: A reward is not finite; what was done so far is kept in `out`.
        CheckpointError: `out` holds the state of another run: of another model, data, verifier, policy or settings.
    """
    config, out = config or AlignConfig(), Path(out)
    scratch = out / SCRATCH
    atomic.remove_leftover(scratch)
    given = load_model(model, device)
    if verifier is None:
        check_readable(given)
    store = EpisodeStore.open(data, task=given.config.task)
    if (config.policy_share > 0) != (policy is not None):
        raise InputError("policy: expected a policy with a share above 0, or neither; give policy= and policy_share=")
    if isinstance(policy, (str, Path)):
        policy = Policy.load(policy)
    identity = {
        "model": weights_digest(given),
        "data": store.fingerprint,
        "config": asdict(config),
        "seed": seed,
        "verifier": None if verifier is None else verifier.digest,
        "policy": None if policy is None else weights_digest(policy.network),
    }
    if (out / checkpoint.CONFIG).exists() and not scratch.exists():
        if not (out / ORIGIN).exists() or checkpoint.read_json(out / ORIGIN) != identity:
            raise InputError(f"out: expected a new folder, got {out} with another run's finished model; choose another")
        return WorldModel.from_pretrained(out).to(given.device)
    tuned = copy.deepcopy(given)
    real = RealData.of(tuned, store.load())
    scratch.mkdir(parents=True, exist_ok=True)
    grader = make_grader(tuned, verifier, real, config, scratch)
    writers = make_writers(out, {"seed": seed, **asdict(config)}, tensorboard=tensorboard, wandb=wandb)

    def report(row: dict[str, Any]) -> None:
        for writer in writers:
            writer.write(row, {}, row["update"])
        if progress:
            progress(row["update"], config.updates, {k: row[k] for k in ("reward", "violations") if k in row})

    rounds = Rounds(
        learner=make_learner(tuned, real, config, seed),
        grader=grader,
        driver=_driver(tuned, config, policy),
        real=real,
        config=config,
        seed=seed,
        folder=scratch,
        identity=identity,
        report=report,
    )
    try:
        rounds.run()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; the rounds so far are in {scratch}, the same command goes on") from None
    finally:
        for writer in writers:
            writer.close()
    tuned.requires_grad_(False)
    tuned.forget_pages()
    if verifier is None:
        write_worlds(read_worlds(scratch / WORLDS), out / WORLDS)
    atomic.write_json(out / ORIGIN, identity)
    tuned.save_pretrained(out)
    atomic.remove_folder(scratch)
    return tuned


def weights_digest(module: torch.nn.Module) -> str:
    """Tells two networks apart."""
    return atomic.digest(b"".join(t.cpu().numpy().tobytes() for t in module.state_dict().values()))


def make_grader(
    model: WorldModel,
    verifier: physics.MotionVerifier | physics.FrameVerifier | None,
    real: RealData,
    config: AlignConfig,
    folder: Path,
) -> Grader:
    """What grades a model's dreams; V is made once and kept in `folder`, so that a resumed run has the same.

    Raises:
        InputError: The verifier is another task's, or reads something else than the model dreams.
    """
    task = model.config.task
    if verifier is None:
        if not (folder / VERIFIER).exists():
            worlds = centred_worlds(task, real.episodes, config)  # those kept apart are to measure by, the verifier too
            write_worlds(worlds, folder / WORLDS)
            rewarding_verifier(model, real, worlds, config).calibration.save(folder / VERIFIER)
        known, around = physics.Calibration.load(folder / VERIFIER), read_worlds(folder / WORLDS)
        if model.config.modality == "frames":
            verifier = physics.FrameVerifier(physics.StateEstimator.shipped(task), known, around)
        else:
            verifier = physics.MotionVerifier(task, calibration=known, worlds=around)
    return Grader.of(model, verifier)


def _driver(model: WorldModel, config: AlignConfig, policy: Any) -> Callable[[torch.Generator], Driver]:
    c = model.config

    def make(generator: torch.Generator) -> Driver:
        drivers: list[tuple[Driver, float]] = [
            (Recorded(), config.recorded_share),
            (Random(c.action_dim, generator), config.random_share),
        ]
        if policy is not None:
            reading = policy.reading(model)
            reading.seed(int(torch.randint(2**62, (), generator=generator)))
            drivers.append((Acting(reading, c.action_low, c.action_high), config.policy_share))
        return Mixture(drivers)

    return make
