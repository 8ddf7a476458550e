"""The main job from end to end: record a real task, learn its dream, train in it, prove the policy, write it up."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import physics
from wmenv import EpisodeStore, InputError, WmenvError, atomic, metrics, train

from .align import AlignConfig
from .baselines import train_real
from .callbacks import RECORD_NAME
from .comparison import heldout_media, measure_speed
from .config import DemoConfig, ImagineConfig, command_options
from .evaluate import Evaluation, evaluate
from .imagine import dream_options, load_model
from .loop import LOG_NAME, Round, check_plan, loop
from .machine import GIB, PeakMemory, hardware, versions
from .policy import Policy
from .progress import progress_bar
from .recording.record import record
from .report.page import write_report
from .results import stored_arm
from .rows import read_rows
from .tune import tune

if TYPE_CHECKING:
    from wmenv import WorldModel

PARTS = ("data", "heldout", "model", "aligned", "policy", "policy_real", "report.json", "report.html", LOG_NAME)
MARKER = ".wmenv-demo"
HORIZON = 50
ROUND_EPISODES = 10
TOGETHER = 25  # real environments in an evaluation: of 50 episodes 44 and 48 s, with 10 environments 52 and 58 s
ALIGN_STARTS = 16  # dreams of a round that begin differently


class Stages:
    """Times the stages of a run and says where it is."""

    def __init__(self, show: bool) -> None:
        self.seconds: dict[str, float] = {}
        self._show = show
        self._begun = time.monotonic()

    @contextmanager
    def __call__(self, name: str, what: str) -> Iterator[None]:
        """One stage; a name used twice adds up."""
        if self._show:
            print(f"[{time.monotonic() - self._begun:5.0f} s] {name}: {what}", file=sys.stderr, flush=True)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begun

    def to_dict(self) -> dict[str, float]:
        """Seconds of each stage and of all since the beginning."""
        rounded = {name: round(seconds, 1) for name, seconds in self.seconds.items()}
        return rounded | {"total": round(time.monotonic() - self._begun, 1)}


def demo(
    out: str | Path = "runs/demo",
    *,
    config: DemoConfig | None = None,
    ppo: ImagineConfig | None = None,
    progress: bool = True,
    command: str | None = None,
) -> dict[str, Any]:
    """Runs the main job.

    Args:
        out: Gets data/, model/, policy/, aligned/, report.json and report.html; what an earlier demo left there is
            replaced.
        config: How much of everything.
        ppo: Hyper-parameters of PPO in dreams; its discount is also that of PPO on the real task.
        progress: Say on stderr where it is.
        command: What the page names as the command that made it.

    Returns:
        The content of report.json.

    Raises:
        InputError: `out` holds something that no demo made, or an argument is out of range.
        TaskError: The task is unknown.
        KeyboardInterrupt: After saving what was under way.
    """
    config = config or DemoConfig()
    ppo = ppo or ImagineConfig()
    plan: dict[str, Any] = {"preset": config.preset, "behaviour": config.behaviour, "policies": config.policies}
    plan |= {"record_steps": config.each_record_steps, "obs": config.obs, "config": ppo}
    check_plan(config.task, **plan)  # before an earlier demo is deleted
    out = prepare(Path(out))
    seed, task = config.seed, config.task
    stages = Stages(progress)
    with PeakMemory() as memory:
        rounds, model, policy = _learn(config, ppo, out, stages, progress)
        store = EpisodeStore.open(out / "data", task=task)
        with stages("evaluate", f"{config.episodes} real episodes each of random, zero and the dreamed policy"):
            arms = {
                name: _evaluate(actor, config, progress, task=task)
                for name, actor in (("random", "random"), ("zero", "zero"), ("dream", policy))
            }
            dreamed = _evaluate(policy, config, False, model=model)
        with stages(
            "baseline", f"PPO on the real task for the same {store.num_steps:,} real steps, and its evaluation"
        ):
            with progress_bar("PPO, real", wanted=progress) as show:
                rival = train_real(
                    task, model, store.num_steps, out / "policy_real", seed=seed, progress=show, gamma=ppo.gamma
                )
            arms["real_equal_steps"] = _evaluate(rival, config, progress, task=task)
        with stages("measure", "error against horizon, speed, films"):
            half = config.heldout_steps // 2
            options = {"obs": config.obs, "progress": progress}
            record(task, half, config.behaviour, out / "heldout", seed=seed + 1000, **options)
            heldout = record(task, half, str(out / "policy"), out / "heldout", seed=seed + 1001, **options)
            episodes = [heldout.episode(i) for i in range(heldout.num_episodes)]
            learned, _ = train.parted(store.load()[: rounds[-1].episodes])
            errors = metrics.horizon_error(model, episodes, learned, horizon=HORIZON)
            speed = measure_speed(task, model)
            media = heldout_media(model, policy, task, episodes, seed=_first_seed(config))
        with stages("align", f"{config.align_updates} rounds of tuning a copy of the model by physics"):
            alignment = _align(config, out, progress)
    report = {
        "format": 1,
        "task": task,
        "seed": seed,
        "modality": config.obs,
        "preset": config.preset,
        "behaviour": config.behaviour,
        "rounds": [_round(done) for done in rounds],
        "policies": config.policies,
        "returns": {name: _arm(result) for name, result in arms.items()}
        | {"real_equal_policy_steps": stored_arm(task, config.obs, "real_equal_policy_steps")},
        "dream_return": _arm(dreamed),
        "real_steps": store.num_steps,
        "policy_steps": rounds[-1].policy_steps,
        "heldout_steps": heldout.num_steps,
        "dream_horizon": dream_options(model, ppo)["horizon"],
        "speed": speed,
        "horizon_error": errors,
        "alignment": alignment,
        "learning_curve": _curve([done.policy for done in rounds]),
        "real_learning_curve": _curve([out / "policy_real"]),
        "wall_seconds": stages.to_dict(),
        "peak_memory_gib": round(memory.peak / GIB, 2),
        "versions": versions(),
        "hardware": hardware(),
        "command": command or f"wmenv demo --out {out}",
        "commands": _commands(config, ppo, out),
    }
    write_report(out, report, media)
    return report


def _learn(
    config: DemoConfig, ppo: ImagineConfig, out: Path, stages: Stages, progress: bool
) -> tuple[list[Round], WorldModel, Policy]:
    """The rounds of recording, training and imagining; the last one's model and policy are copied to the front."""
    rounds = loop(
        config.task,
        out,
        rounds=config.rounds,
        record_steps=config.each_record_steps,
        imagine_steps=config.each_imagine_steps,
        policies=config.policies,
        obs=config.obs,
        preset=config.preset,
        behaviour=config.behaviour,
        seed=config.seed,
        episodes=ROUND_EPISODES,
        config=ppo,
        progress=progress,
        stage=stages,
    )
    for name in ("model", "policy"):
        shutil.copytree(getattr(rounds[-1], name), out / name)
    return rounds, load_model(out / "model"), Policy.load(out / "policy")


def _align(config: DemoConfig, out: Path, progress: bool) -> dict[str, Any] | None:
    """What physics says of the model's dreams, before and after a copy was tuned by it; or why it says nothing."""
    if not config.align_updates:
        return None
    settings = AlignConfig(updates=config.align_updates, starts=ALIGN_STARTS)
    about = {"updates": config.align_updates}
    try:
        with progress_bar("align", "rounds", wanted=progress) as show:
            found = tune(
                out / "model", out / "aligned", data=out / "data", config=settings, seed=config.seed, progress=show
            )
    except (WmenvError, physics.ClipError, physics.TaskError) as error:  # say too short a recording: no demo is lost
        atomic.remove_folder(out / "aligned")
        return about | {"why_not": str(error)}
    for when in ("before", "after"):
        del found[when]["horizon"]  # of few clips; that of the demo is beside it
    return about | {name: found[name] for name in ("method", "real", "before", "after")}


def prepare(out: Path) -> Path:
    """Makes `out`, or empties it of what an earlier demo left.

    Raises:
        InputError: It holds something of a demo's names that no demo made.
    """
    rounds = [path.name for path in sorted(out.glob("round-*"))] if out.is_dir() else []
    present = [name for name in (*PARTS, *rounds) if (out / name).exists()]
    if present and not (out / MARKER).exists():
        raise InputError(f"out: expected an empty folder or one of a demo, got {out} with {present[0]}; choose another")
    for name in present:
        path = out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()
    return out


def summary(report: Mapping[str, Any]) -> str:
    """The table on the screen."""
    from rich.console import Console
    from rich.table import Table

    from .report.returns import ARMS

    table = Table(title=f"{report['task']}, real returns", title_justify="left")
    for column in ("policy", "mean", "s.e.m.", "95% interval", "episodes"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for arm, name in ARMS.items():
        result = report["returns"][arm]
        style = "bold" if arm == "dream" else None
        if result["mean"] is None:
            table.add_row(name, "–", "–", "not measured here", "–", style="dim")
            continue
        low, high = result.get("ci95") or (None, None)
        interval = "stored result" if low is None else f"{low:.1f} to {high:.1f}"
        sem = "–" if result["sem"] is None else f"{result['sem']:.2f}"
        table.add_row(name, f"{result['mean']:.1f}", sem, interval, str(result["episodes"]), style=style)
    console = Console(width=100)
    with console.capture() as text:
        console.print(table)
    speed = report["speed"]
    tuned, graded = report["alignment"] or {}, ""
    if "before" in tuned:
        before, after = (f"{100 * tuned[when]['V']['violations']:.1f}%" for when in ("before", "after"))
        graded = f"; {before} of dreamed frames looked like no real one to physics, {after} after tuning by it"
    return (
        f"{text.get()}dreams: {speed['dream_fps']:,.0f} steps/s, real task: {speed['real_camera_fps']:,.0f} "
        f"({speed['ratio']:.1f} times as many); {report['real_steps']:,} real steps recorded, "
        f"{report['policy_steps']:,} dreamed; {report['wall_seconds']['total']:.0f} s in all, "
        f"{report['peak_memory_gib']:.1f} GiB at most{graded}"
    )


def _evaluate(policy: Any, config: DemoConfig, progress: bool, **where: Any) -> Evaluation:
    with progress_bar("evaluate", "episodes", wanted=progress) as show:
        return evaluate(
            policy, episodes=config.episodes, seed=_first_seed(config), num_envs=TOGETHER, progress=show, **where
        )


def _first_seed(config: DemoConfig) -> int:
    """Seed of the first evaluated episode, which is also the one that is filmed."""
    return 10_000 + 1000 * config.seed


def _arm(result: Evaluation) -> dict[str, Any]:
    kept = ("mean", "sem", "episodes", "ci95", "mean_length", "returns")
    record = result.to_dict()
    return {name: record[name] for name in kept}


def _round(done: Round) -> dict[str, Any]:
    return {
        "real_steps": done.real_steps,
        "policy_steps": done.policy_steps,
        "mean": done.evaluation.mean,
        "sem": done.evaluation.sem,
        "episodes": done.evaluation.episodes,
    }


def _curve(folders: Sequence[Path]) -> dict[str, list[float]]:
    """Over the steps that the last policy has learned for; where an earlier one went on, its record is met again."""
    rows = [row for folder in folders for row in read_rows(folder / RECORD_NAME) if "rollout/ep_rew_mean" in row]
    curve = dict(sorted((row["steps"], row["rollout/ep_rew_mean"]) for row in rows))
    return {"steps": list(curve), "returns": list(curve.values())}


def _commands(config: DemoConfig, ppo: ImagineConfig, out: Path) -> list[str]:
    seed, options = f" --seed {config.seed}" if config.seed else "", command_options(ppo)
    align = [
        f"wmenv align {out}/model --data {out}/data --updates {config.align_updates} --starts {ALIGN_STARTS} "
        f"--out {out}/aligned{seed}"
    ][: config.align_updates]
    if config.rounds > 1 or config.policies > 1:
        each = f"--record-steps {config.each_record_steps} --imagine-steps {config.each_imagine_steps}"
        return [
            f"wmenv loop {config.task} --rounds {config.rounds} --policies {config.policies} {each} "
            f"--behaviour {config.behaviour} --obs {config.obs} --preset {config.preset} --episodes {ROUND_EPISODES} "
            f"--out {out}/loop{seed}{options}",
            f"wmenv evaluate {out}/loop/round-{config.rounds - 1:02d}/policy --task {config.task} "
            f"--episodes {config.episodes}",
            *align,
        ]
    obs = "" if config.obs == "frames" else f" --obs {config.obs}"
    return [
        f"wmenv record {config.task} --steps {config.record_steps} --policy {config.behaviour}{obs} "
        f"--out {out}/data{seed}",
        f"wmenv train {out}/data --preset {config.preset} --out {out}/model{seed}",
        f"wmenv imagine {out}/model --steps {config.imagine_steps} --out {out}/policy{seed}{options}",
        f"wmenv evaluate {out}/policy --task {config.task} --episodes {config.episodes}",
        *align,
    ]
