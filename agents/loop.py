"""Dyna: record with the policy so far, learn the world anew, dream on; again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wmenv import EpisodeStore, InputError, presets, ranges

from .callbacks import JsonlWriter, read_rows
from .config import ImagineConfig
from .evaluate import Evaluation, evaluate
from .imagine import imagine, load_model
from .policy import Policy
from .progress import progress_bar
from .real_env import make_task
from .record import record
from .record_policy import parse_repeat
from .world_training import train_world_model

LOG_NAME = "loop.jsonl"

Stage = Callable[[str, str], AbstractContextManager[None]]
"""Called as stage(name, what is being done); what it returns is entered around the work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What one round of the loop left behind.

    Attributes:
        number: From 0.
        model: Folder of its world model.
        policy: Folder of its policy.
        real_steps: Real steps recorded so far.
        policy_steps: Steps dreamed so far.
        evaluation: The policy on the real task.
    """

    number: int
    model: Path
    policy: Path
    real_steps: int
    policy_steps: int
    evaluation: Evaluation


def loop(
    task: str,
    out: str | Path,
    *,
    rounds: int = 4,
    record_steps: int = 6_000,
    imagine_steps: int = 200_000,
    obs: str = "frames",
    preset: str | presets.Preset = "tiny",
    behaviour: str = "explore",
    seed: int = 0,
    world: Any = None,
    episodes: int = 20,
    config: ImagineConfig | None = None,
    progress: bool = True,
    on_round: Callable[[Round], None] | None = None,
    stage: Stage = lambda name, what: nullcontext(),
) -> list[Round]:
    """Alternates recording, training and imagining; the model and the policy start each round where they were.

    What a killed loop has finished is kept: the same call goes on with the first unfinished step.

    Args:
        task: Id of the real task.
        out: Gets `data/`, `round-00/model`, `round-00/policy`, ... and `loop.jsonl`, a row a round.
        rounds: How many in all.
        record_steps: Real steps recorded in each; in round 0 by exploring actions, then by the last policy and noise.
        imagine_steps: Steps dreamed in each.
        obs: "frames" or "state".
        preset: Size of the world model.
        behaviour: What acts in round 0: "random", "random:N", "explore" or "zero".
        seed: Seed of everything; round k uses seed + k.
        world: A `physics.World`, or None for the nominal one.
        episodes: Real episodes by which each policy is evaluated; they are not learned from.
        config: PPO's hyper-parameters.
        progress: Show progress bars on stderr.
        on_round: Told of each finished round.
        stage: Told of each part of a round: "record", "train", "imagine" and "evaluate".

    Returns:
        The rounds that were run now.

    Raises:
        InputError: An argument is out of range.
        TaskError: The task is unknown.
        KeyboardInterrupt: After saving what was under way.
    """
    for name, value in (("rounds", rounds), ("record_steps", record_steps), ("imagine_steps", imagine_steps)):
        ranges.check_whole(name, value, 1)
    check_plan(task, preset, behaviour)
    out = Path(out)
    folder = out / "data"
    finished = {row["round"] for row in read_rows(out / LOG_NAME)}
    results = []
    for number in range(rounds):
        if number in finished:
            continue
        begun = time.monotonic()
        turn = f", round {number + 1} of {rounds}" if rounds > 1 else ""
        here, before = round_folder(out, number), round_folder(out, number - 1)
        missing = record_steps * (number + 1) - _recorded(folder, task)
        if missing > 0:
            actor, actions = (before / "policy", "its own") if number else (behaviour, behaviour)
            with stage("record", f"{missing:,} real steps of {task}, {actions} actions{turn}"):
                record(task, missing, actor, folder, obs=obs, seed=seed + number, world=world, progress=progress)
        if _is_complete(here / "model"):
            model = load_model(here / "model")
        else:
            init = before / "model" if number else None
            options = {"preset": preset, "seed": seed + number, "init": init, "task": task, "progress": progress}
            with stage("train", f"a world model of {_recorded(folder, task):,} steps, preset {preset}{turn}"):
                model = train_world_model(folder, here / "model", **options)
        with (
            stage("imagine", f"{imagine_steps:,} dreamed steps of PPO, none of them real{turn}"),
            progress_bar(f"imagine, round {number}", wanted=progress) as show,
        ):
            init = before / "policy" if number else None
            options = {"config": config, "seed": seed + number, "init": init, "progress": show}
            policy = imagine(model, imagine_steps, here / "policy", **options)
        with (
            stage("evaluate", f"{episodes} real episodes{turn}"),
            progress_bar(f"evaluate, round {number}", "episodes", wanted=progress) as show,
        ):
            evaluation = evaluate(policy, task=task, episodes=episodes, world=world, progress=show)
        results.append(_finish(out, number, _recorded(folder, task), policy, evaluation, time.monotonic() - begun))
        if on_round:
            on_round(results[-1])
    return results


def check_plan(task: str, preset: str | presets.Preset, behaviour: str) -> None:
    """Refuses what only a later stage would find out, before anything is recorded or deleted.

    Raises:
        InputError: There is no such preset or behaviour.
        TaskError: There is no such task.
    """
    if not isinstance(preset, presets.Preset):
        presets.preset_named(preset)
    if behaviour not in ("explore", "zero"):
        if behaviour.partition(":")[0] != "random":
            raise InputError(f"behaviour: expected random, random:N, explore or zero, got {behaviour!r}")
        parse_repeat(behaviour)
    make_task(task, None).close()


def round_folder(out: Path, number: int) -> Path:
    """Where round `number` keeps its model and policy."""
    return out / f"round-{number:02d}"


def _recorded(folder: Path, task: str) -> int:
    if not (folder / "meta" / "info.json").exists():
        return 0
    return EpisodeStore.open(folder, task=task).num_steps


def _is_complete(model: Path) -> bool:
    """Whether a model was trained to its end; its checkpoints are removed then."""
    return (model / "config.json").exists() and not (model / "training").exists()


def _finish(out: Path, number: int, steps: int, policy: Policy, evaluation: Evaluation, seconds: float) -> Round:
    here = round_folder(out, number)
    done = Round(
        number=number,
        model=here / "model",
        policy=here / "policy",
        real_steps=steps,
        policy_steps=policy.config.steps,
        evaluation=evaluation,
    )
    log = JsonlWriter(out / LOG_NAME)
    row = {"round": number, "real_steps": steps, "policy_steps": policy.config.steps, "wall_seconds": seconds}
    log.write(row | {"return_mean": evaluation.mean, "return_sem": evaluation.sem}, {}, steps)
    log.close()
    (here / "evaluation.json").write_text(json.dumps(evaluation.to_dict(), indent=2) + "\n", encoding="utf-8")
    return done
