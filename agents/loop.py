"""Dyna: record with the policies so far, learn the world anew, dream on from the best; again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmenv import EpisodeStore, InputError, atomic, device, presets, ranges

from .candidates import BEFORE, Contest, check_begun
from .candidates import LOG_NAME as CANDIDATES
from .config import LEAST_SHARE, ImagineConfig
from .evaluate import Evaluation, evaluate
from .imagine import check_network, check_verifiable, imagine, load_model
from .policy import Policy
from .progress import progress_bar
from .real_env import check_limited, make_task
from .recording.behaviour import parse_repeat
from .recording.record import record
from .rows import append_row, read_rows
from .world_training import train_world_model

if TYPE_CHECKING:
    from wmenv import WorldModel

LOG_NAME = "loop.jsonl"
SEEDS_APART = 1_000_000  # between the policies of a round, so that no round meets another's seed

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
        episodes: How many of the recorded episodes, the first ones, its world model had; later ones only chose.
        policy_steps: Steps dreamed so far, by all policies.
        evaluation: The policy on the real task.
    """

    number: int
    model: Path
    policy: Path
    real_steps: int
    episodes: int
    policy_steps: int
    evaluation: Evaluation


def loop(
    task: str,
    out: str | Path,
    *,
    rounds: int = 4,
    record_steps: int = 6_000,
    imagine_steps: int = 200_000,
    policies: int = 1,
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
        record_steps: Real steps recorded in each; in round 0 by exploring actions, then by policies with noise.
        imagine_steps: Steps dreamed in each, by each policy.
        policies: How many are dreamed in each round, from as many seeds. They share the next recording with the one
            from which they began, and the best there goes on (see candidates.py); so the last round, too, is followed
            by a recording, which only chooses, unless its one policy is the first.
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
    for name, value in (
        ("rounds", rounds),
        ("record_steps", record_steps),
        ("imagine_steps", imagine_steps),
        ("policies", policies),
        ("episodes", episodes),
    ):
        ranges.check_whole(name, value, 1)
    plan: dict[str, Any] = {"preset": preset, "behaviour": behaviour, "record_steps": record_steps}
    check_plan(task, **plan, policies=policies, obs=obs, config=config)
    sitting = _Sitting(
        task=task,
        out=Path(out),
        rounds=rounds,
        record_steps=record_steps,
        imagine_steps=imagine_steps,
        policies=policies,
        obs=obs,
        preset=preset,
        behaviour=behaviour,
        seed=seed,
        world=world,
        episodes=episodes,
        config=config,
        progress=progress,
        stage=stage,
    )
    finished = {row["round"] for row in read_rows(sitting.out / LOG_NAME)}
    results: list[Round] = []
    for number in range(rounds):
        if number not in finished:
            results.append(sitting.run(number, results[-1].evaluation if results else None))
            if on_round:
                on_round(results[-1])
    return results


def check_plan(
    task: str,
    *,
    preset: str | presets.Preset,
    behaviour: str,
    record_steps: int,
    policies: int,
    obs: str,
    config: ImagineConfig | None,
) -> None:
    """Refuses what only a later stage would find out, before anything is recorded or deleted; arguments as of `loop`.

    Raises:
        InputError: There is no such preset, behaviour, device or network, there is too little to share, frames are to
            be verified, or the task has no limit of steps.
        TaskError: There is no such task.
    """
    if not isinstance(preset, presets.Preset):
        presets.preset_named(preset)
    if behaviour not in ("explore", "zero"):
        if behaviour.partition(":")[0] != "random":
            raise InputError(f"behaviour: expected random, random:N, explore or zero, got {behaviour!r}")
        parse_repeat(behaviour)
    if record_steps < policies * LEAST_SHARE:
        least = f"at least {policies * LEAST_SHARE} for {policies} a round to share"
        raise InputError(f"record_steps: expected {least}, got {record_steps}")
    config = config or ImagineConfig()
    device.named_device(config.device)
    check_network(config)
    if config.verify:
        check_verifiable(obs)
    env = make_task(task, None)
    try:
        check_limited(env, task)
    finally:
        env.close()


def round_folder(out: Path, number: int) -> Path:
    """Where round `number` keeps its model and policy."""
    return out / f"round-{number:02d}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sitting:
    """One call of `loop`: its arguments, and the parts of a round."""

    task: str
    out: Path
    rounds: int
    record_steps: int
    imagine_steps: int
    policies: int
    obs: str
    preset: str | presets.Preset
    behaviour: str
    seed: int
    world: Any
    episodes: int
    config: ImagineConfig | None
    progress: bool
    stage: Stage

    def run(self, number: int, last: Evaluation | None) -> Round:
        """One round; `last` is what the policy before was worth, if that is known."""
        begun = time.monotonic()
        here, before = round_folder(self.out, number), round_folder(self.out, number - 1)
        check_begun(here, self.policies)
        if number:
            self._record_share(number - 1, 1.0, before / "policy", "policy-0")  # nothing, unless it had nobody to meet
        else:
            self._record(number, self.record_steps, self.behaviour, self.behaviour)
        model = self._model(number, before / "model" if number else None, here / "model")
        init = before / "policy" if number else None
        policy = Contest(
            here=here,
            count=self.policies,
            data=self.data,
            imagine=lambda k, into: self._dream(number, model, init, into, candidate=k),
            record=lambda share, actor, name: self._record_share(number, share, actor, name),
            before=before if number else None,
        ).run()
        contest = read_rows(here / CANDIDATES)
        had, stayed = contest[0]["first_episode"], contest[-1]["kept"] == BEFORE
        score = last if last and stayed else self._evaluate(number, policy)
        new = Policy.load(here / "policy-0")
        dreamed = self.policies * (new.config.steps - (Policy.load(init).config.steps if init else 0))
        return self._finish(number, had, dreamed, score, time.monotonic() - begun)

    @property
    def data(self) -> Path:
        return self.out / "data"

    def _turn(self, number: int) -> str:
        return f", round {number + 1} of {self.rounds}" if self.rounds > 1 else ""

    def _recorded(self) -> int:
        if not (self.data / "meta" / "info.json").exists():
            return 0
        return EpisodeStore.open(self.data, task=self.task).num_steps

    def _record(self, number: int, until: int, actor: str | Path, actions: str, **options: Any) -> None:
        missing = until - self._recorded()
        if missing > 0:
            usual: dict[str, Any] = {"obs": self.obs, "world": self.world, "seed": self.seed + number}
            options = usual | options
            with self.stage("record", f"{missing:,} real steps of {self.task}, {actions} actions{self._turn(number)}"):
                record(self.task, missing, actor, self.data, progress=self.progress, **options)

    def _record_share(self, number: int, share: float, actor: Path, name: str) -> None:
        """Part of the next round's steps; in one environment, so that episodes get as long as they can."""
        until = self.record_steps * (number + 1) + round(self.record_steps * share)
        self._record(number, until, actor, f"{name}'s", num_envs=1, num_processes=1, seed=self.seed + number + 1)

    def _model(self, number: int, init: Path | None, into: Path) -> WorldModel:
        if (into / "config.json").exists() and not (into / "training").exists():  # trained to its end before a kill
            return load_model(into)
        options = {"preset": self.preset, "seed": self.seed + number, "init": init, "task": self.task}
        what = f"a world model of {self._recorded():,} steps, preset {self.preset}{self._turn(number)}"
        with self.stage("train", what):
            return train_world_model(self.data, into, progress=self.progress, **options)

    def _dream(self, number: int, model: WorldModel, init: Path | None, into: Path, *, candidate: int = 0) -> Policy:
        turn = self._turn(number) + (f", policy {candidate + 1} of {self.policies}" if self.policies > 1 else "")
        seed = self.seed + number + SEEDS_APART * candidate
        with (
            self.stage("imagine", f"{self.imagine_steps:,} dreamed steps of PPO, none of them real{turn}"),
            progress_bar(f"imagine, round {number + 1}", wanted=self.progress) as show,
        ):
            return imagine(model, self.imagine_steps, into, config=self.config, seed=seed, init=init, progress=show)

    def _evaluate(self, number: int, policy: Policy) -> Evaluation:
        with (
            self.stage("evaluate", f"{self.episodes} real episodes{self._turn(number)}"),
            progress_bar(f"evaluate, round {number + 1}", "episodes", wanted=self.progress) as show,
        ):
            return evaluate(policy, task=self.task, episodes=self.episodes, world=self.world, progress=show)

    def _finish(self, number: int, had: int, dreamed: int, evaluation: Evaluation, seconds: float) -> Round:
        here, earlier = round_folder(self.out, number), read_rows(self.out / LOG_NAME)
        done = Round(
            number=number,
            model=here / "model",
            policy=here / "policy",
            real_steps=self._recorded(),
            episodes=had,
            policy_steps=dreamed + (earlier[-1]["policy_steps"] if earlier else 0),
            evaluation=evaluation,
        )
        atomic.write_json(here / "evaluation.json", evaluation.to_dict())
        row = {"round": number, "real_steps": done.real_steps, "episodes": had, "policy_steps": done.policy_steps}
        row |= {"wall_seconds": seconds, "return_mean": evaluation.mean, "return_sem": evaluation.sem}
        append_row(self.out / LOG_NAME, row)  # last: where a round has its row, all of it is done
        return done
