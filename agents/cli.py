"""The command line: one verb a step of the road, results on stdout, everything else on stderr.

Nothing heavy is imported here, so that `wmenv --help` answers at once and `wmenv doctor` runs on a broken installation.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from wmenv import WmenvError

from .config import DemoConfig, ImagineConfig
from .progress import progress_bar, say
from .verbs.align import Align
from .verbs.bench import Bench
from .verbs.distill import Distill
from .verbs.physics import Identify, Track, Verifierbench, Verify

World = dict[str, float]
INTERRUPTED, TERMINATED, FAULTY = 130, 143, 2


@dataclass(frozen=True, kw_only=True)
class Record:
    """Record a real task into a data set (LeRobot v3 layout); a data set of the same task is continued.

    Attributes:
        task: Id of the task, such as wmenv/Reacher-v0.
        steps: Steps to record, all environments together.
        out: Folder of the data set.
        policy: "random", "random:N" (each action held N steps), "explore" (gentle and violent stretches), "zero" or a
            policy folder.
        obs: Record camera frames and state, or the state alone.
        num_envs: Environments side by side.
        seed: Seed of starts and random actions.
        size: Edge of a frame in pixels.
        world: How this world differs from the nominal one: --world mass 1.2 friction 0.8.
    """

    task: tyro.conf.Positional[str]
    steps: int
    out: Path
    policy: str = "random"
    obs: Literal["frames", "state"] = "frames"
    num_envs: int = 8
    seed: int = 0
    size: int = 64
    world: World = field(default_factory=dict)

    def run(self) -> int:
        """Records."""
        from .recording.record import record

        store = record(
            self.task,
            self.steps,
            self.policy,
            self.out,
            obs=self.obs,
            num_envs=self.num_envs,
            seed=self.seed,
            size=self.size,
            world=self.world or None,
        )
        say(f"{self.out}: {store.num_episodes} episodes, {store.num_steps} steps of {self.task}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Train:
    """Learn a world model from a data set; an interrupted training is resumed.

    Attributes:
        data: Folder of the data set.
        out: Folder of the world model.
        preset: Size: nano or tiny (2 CPU cores, minutes), tiny-flow (to be distilled), small or base.
        seed: Seed of weights and batches.
        init: A world model to start from.
        overwrite: Replace a finished world model in OUT.
    """

    data: tyro.conf.Positional[Path]
    out: Path
    preset: str = "tiny"
    seed: int = 0
    init: Path | None = None
    overwrite: bool = False

    def run(self) -> int:
        """Trains."""
        from .world_training import train_world_model

        model = train_world_model(
            self.data, self.out, preset=self.preset, seed=self.seed, init=self.init, overwrite=self.overwrite
        )
        say(f"{self.out}: world model of {model.config.task} from {model.config.modality}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Imagine:
    """Train a policy by PPO in a world model's dreams only.

    Attributes:
        model: Folder of the world model.
        steps: Steps to dream.
        out: Folder of the policy.
        init: A policy to start from.
        seed: Seed of weights, dreams and noise.
        tensorboard: Also write TensorBoard events into OUT/tensorboard.
        wandb: Also log to Weights & Biases, offline unless WANDB_MODE=online.
        ppo: Hyper-parameters.
    """

    model: tyro.conf.Positional[Path]
    steps: int
    out: Path
    init: Path | None = None
    seed: int = 0
    tensorboard: bool = False
    wandb: bool = False
    ppo: Annotated[ImagineConfig, tyro.conf.arg(name="")] = field(default_factory=ImagineConfig)

    def run(self) -> int:
        """Imagines."""
        from .imagine import imagine

        with progress_bar("imagine") as progress:
            policy = imagine(
                self.model,
                self.steps,
                self.out,
                config=self.ppo,
                seed=self.seed,
                init=self.init,
                tensorboard=self.tensorboard,
                wandb=self.wandb,
                progress=progress,
            )
        say(f"{self.out}: policy for {policy.config.task} after {policy.config.steps} dreamed steps")
        return 0


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a policy on the real task (--task) or in a dream (--model), with intervals.

    Attributes:
        policy: A policy folder, "random" or "zero".
        task: Evaluate on this real task; by default the one that the policy was made for.
        model: Evaluate in this world model's dream instead.
        episodes: Fixed episodes, each run to its end.
        seed: Episode i begins with seed + i.
        num_envs: Real environments that run together.
        world: How the real world differs from the nominal one: --world mass 1.2.
        stochastic: Sample actions instead of taking the mean.
        json: Print one JSON object with every return on stdout.
    """

    policy: tyro.conf.Positional[str]
    task: str | None = None
    model: Path | None = None
    episodes: int = 50
    seed: int = 10_000
    num_envs: int = 10
    world: World = field(default_factory=dict)
    stochastic: bool = False
    json: bool = False

    def run(self) -> int:
        """Evaluates."""
        from .evaluate import evaluate

        with progress_bar("evaluate", "episodes", wanted=sys.stderr.isatty() or not self.json) as progress:
            result = evaluate(
                self.policy,
                task=self.task,
                model=self.model,
                episodes=self.episodes,
                seed=self.seed,
                num_envs=self.num_envs,
                world=self.world or None,
                deterministic=not self.stochastic,
                progress=progress,
            )
        print(json.dumps(result.to_dict(), allow_nan=False) if self.json else result)
        return 0


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Alternate record, train and imagine; a killed loop goes on where it was.

    Attributes:
        task: Id of the task.
        out: Folder of data, models and policies.
        rounds: Rounds in all.
        record_steps: Real steps of each round, and once more after the last, to choose by.
        imagine_steps: Dreamed steps of each round and policy.
        policies: Policies dreamed in each round; in the next recording they meet the one before, and the best goes on.
        obs: Learn from frames or from the state.
        preset: Size of the world model.
        behaviour: What acts in the first round: "random", "random:N", "explore" or "zero".
        episodes: Real episodes by which each round's policy is measured.
        seed: Seed of everything.
        world: How the real world differs from the nominal one.
        ppo: Hyper-parameters.
    """

    task: tyro.conf.Positional[str]
    out: Path = Path("runs/loop")
    rounds: int = 4
    record_steps: int = 6_000
    imagine_steps: int = 200_000
    policies: int = 1
    obs: Literal["frames", "state"] = "frames"
    preset: str = "tiny"
    behaviour: str = "explore"
    episodes: int = 20
    seed: int = 0
    world: World = field(default_factory=dict)
    ppo: Annotated[ImagineConfig, tyro.conf.arg(name="")] = field(default_factory=ImagineConfig)

    def run(self) -> int:
        """Loops."""
        from .loop import loop

        done = loop(
            self.task,
            self.out,
            rounds=self.rounds,
            record_steps=self.record_steps,
            imagine_steps=self.imagine_steps,
            policies=self.policies,
            obs=self.obs,
            preset=self.preset,
            behaviour=self.behaviour,
            episodes=self.episodes,
            seed=self.seed,
            world=self.world or None,
            config=self.ppo,
            on_round=lambda done: print(
                f"round {done.number + 1}: {done.real_steps} real steps, {done.policy_steps} dreamed: {done.evaluation}"
            ),
        )
        if not done:
            say(f"{self.out}: all {self.rounds} rounds were done before; give --rounds more, or another --out")
        return 0


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The whole road in minutes: record, train, imagine, prove; ends with report.json and report.html.

    Attributes:
        out: Folder of everything that it makes.
        demo: How much of everything.
        ppo: Hyper-parameters.
    """

    out: Path = Path("runs/demo")
    demo: Annotated[DemoConfig, tyro.conf.arg(name="")] = field(default_factory=DemoConfig)
    ppo: Annotated[ImagineConfig, tyro.conf.arg(name="ppo")] = field(default_factory=ImagineConfig)

    def run(self) -> int:
        """Runs the demo."""
        from .demo import demo, summary

        report = demo(self.out, config=self.demo, ppo=self.ppo, command=shlex.join(["wmenv", *sys.argv[1:]]))
        print(summary(report))
        print(f"the page: {self.out / 'report.html'}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Print versions, device and GL backend, and name known traps with their fix."""

    def run(self) -> int:
        """Examines."""
        from .doctor import doctor

        diagnosis = doctor()
        print(diagnosis)
        return diagnosis.exit_code


_ORDER = (
    Record, Train, Distill, Imagine, Align, Evaluate, Loop, Verify, Verifierbench, Identify, Track, Demo, Bench, Doctor,
)  # fmt: skip
VERBS: dict[str, Any] = {cls.__name__.lower(): cls for cls in _ORDER}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
        arguments: Those of the command line by default.

    Returns:
        The exit code: 0, 2 for a bad argument or a damaged file, 130 after Ctrl-C, 143 after SIGTERM.
    """
    stopped_by = signal.SIGINT

    def terminate(number: int, frame: Any) -> None:
        nonlocal stopped_by
        stopped_by = signal.SIGTERM
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        verb = tyro.extras.subcommand_cli_from_dict(
            VERBS,
            prog="wmenv",
            description="Robot tasks that you can dream: record, learn a world model, train in it, prove it.",
            args=arguments,
        )
        return verb.run()
    except KeyboardInterrupt as stop:
        say(f"wmenv: {stop}" if str(stop) else "wmenv: stopped")
        return TERMINATED if stopped_by == signal.SIGTERM else INTERRUPTED
    except Exception as error:
        if not _is_users(error):
            raise
        say(f"wmenv: {' '.join(str(error).split())}")
        return FAULTY
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_users(error: Exception) -> bool:
    """Whether an error is for the user to mend, and its one line says how; else it is ours and keeps its trace."""
    physics = sys.modules.get("physics")  # not imported for the question alone
    if physics is not None and isinstance(error, (physics.TaskError, physics.ClipError)):
        return True
    return isinstance(error, (WmenvError, OSError))


if __name__ == "__main__":
    sys.exit(main())
