"""The study behind docs/alignment.md: RLPF against other ways to spend the same verdicts and gradient steps.

For each task and seed: some steps are recorded in the hidden world D, a small world model learns from them, and every
method tunes a copy of it. The verifier's worlds are centred on what identification finds in the recording. Each tuned
model is examined under V and under the judge J, on held-out real clips of D, and by PPO that learns in its dreams and
meets D.

`python -m benchmarks.rlpf` resumes where it was killed and appends a row to results/rlpf/rlpf.jsonl per finished
method; `--tasks`, `--seeds` and `--methods` ("none" first) choose some, `--threads 1` lets two share a machine of two
cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from agents.align import AlignConfig, align
from agents.align.real_data import RealData
from agents.align.verifiers import centred_worlds, rewarding_verifier
from agents.config import ImagineConfig
from agents.evaluate import evaluate
from agents.examine import Examiner
from agents.imagine import imagine
from agents.recording.record import record
from agents.rows import read_rows
from benchmarks.common import FOLDER, append_result
from physics.worlds.data import DATA_WORLD
from wmenv import EpisodeStore, WorldModel
from wmenv.presets import PRESETS, Preset
from wmenv.train import train

RESULTS = FOLDER.parent / "results" / "rlpf" / "rlpf.jsonl"
RUNS = FOLDER.parent / "runs" / "rlpf"
EPISODES = 50
SMALL = replace(PRESETS["tiny"], width=96, depth=2, heads=3, steps=1500, rate=2e-3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """How one task is studied.

    Attributes:
        task: Gymnasium id.
        record_steps: Recorded in D; few, since physics has most to say where data are scarce.
        behaviour: What acts in the recording.
        imagine_steps: Dreamed by PPO in each tuned model.
        horizon: Steps after which its dreams are truncated.
        obs: "state" or "frames".
        preset: Sizes of the model.
        updates: Rounds of every method.
        whole: Frames of a dream that is judged as a clip, by the methods that judge so: fewer where episodes are short.
        gamma: Discount per step of that PPO.
    """

    task: str
    record_steps: int
    behaviour: str
    imagine_steps: int
    horizon: int
    obs: str = "state"
    preset: Preset = SMALL
    updates: int = 240
    whole: int = 24
    gamma: float = 0.99


STUDIES = (
    Study(task="wmenv/Reacher-v0", record_steps=2_000, behaviour="explore", imagine_steps=150_000, horizon=50),
    Study(
        task="wmenv/Hopper-v0",
        record_steps=4_000,
        behaviour="explore",
        imagine_steps=150_000,
        horizon=100,
        gamma=0.999,  # as in benchmarks/returns.py
    ),
    Study(task="wmenv/HalfCheetah-v0", record_steps=4_000, behaviour="explore", imagine_steps=150_000, horizon=100),
    Study(
        task="wmenv/InvertedPendulum-v0",
        record_steps=3_000,
        behaviour="explore",
        imagine_steps=60_000,
        horizon=100,
        obs="frames",
        preset=PRESETS["nano"],
        updates=60,
        whole=8,
    ),
)
FRAMES_A_ROUND = 512  # that are judged, about, by every method
DRIVEN = {"recorded_share": 0.25, "random_share": 0.25, "policy_share": 0.5}  # by the policy of the untuned dream


def settings(study: Study) -> dict[str, AlignConfig | None]:
    """Of each method."""
    updates = {"updates": study.updates}
    clips = FRAMES_A_ROUND // study.whole
    whole = {**DRIVEN, **updates, "lead": 0, "frames": study.whole}
    return {
        "none": None,
        "rlpf": AlignConfig(**updates, **DRIVEN),
        "supervised": AlignConfig(method="supervised", **updates, minibatches=8),  # from states: in the time of `rlpf`
        "filter": AlignConfig(method="filter", starts=clips, group=1, minibatches=4, real_weight=1.0, **whole),
        "binary": AlignConfig(method="binary", starts=clips // 2, group=2, gamma=0.9, **whole),
        "grpo": AlignConfig(method="grpo", starts=round(clips / 8), group=8, **whole),
        "random": AlignConfig(method="random", **updates, **DRIVEN),
        "dpo": AlignConfig(method="dpo", **updates, **DRIVEN),
    }


METHODS = tuple(settings(STUDIES[0]))


def finished(path: Path = RESULTS) -> set[tuple[str, int, str]]:
    """The (task, seed, method) that have their row; one that was run with other settings does not count."""
    known = {study.task: study for study in STUDIES}
    found = set()
    for row in read_rows(path):
        study, arm = known.get(row["task"]), row["arm"]
        if study and _told(row["study"], study) and _told(row["config"], settings(study).get(arm)):
            found.add((row["task"], row["seed"], arm))
    return found


def _told(told: dict[str, Any] | None, wanted: Any) -> bool:
    """Whether what a row says is `wanted`; what is younger than the row it cannot say."""
    if told is None or wanted is None:
        return told is wanted
    now = json.loads(json.dumps(asdict(wanted)))
    return all(now.get(name) == value for name, value in told.items())


def base(study: Study, seed: int) -> tuple[WorldModel, Path]:
    """The recording in D and the model that learned from it; made once."""
    folder = RUNS / study.task.split("/")[-1] / f"seed-{seed}"
    data, model = folder / "data", folder / "model"
    if not (folder / "recorded").exists():
        shutil.rmtree(data, ignore_errors=True)  # of a recording that was killed
        world = DATA_WORLD.to_dict()
        record(study.task, study.record_steps, study.behaviour, data, obs=study.obs, seed=100 * seed, world=world)
        (folder / "recorded").touch()
    if not (model / "config.json").exists() or (model / "training").exists():
        train(data, model, preset=study.preset, seed=seed)
    return WorldModel.from_pretrained(model), data


class Bench:
    """What all methods of one task and seed share: the base model, its recording, the verifier and the examiner.

    Args:
        study: The task.
        seed: Of the recording and the base model.
    """

    def __init__(self, study: Study, seed: int) -> None:
        self.study, self.seed = study, seed
        self.given, self.data = base(study, seed)
        self.folder = self.data.parent
        episodes = EpisodeStore.open(self.data).load()
        real = RealData.of(self.given, episodes)
        worlds = centred_worlds(study.task, real.episodes, AlignConfig())
        self.examiner = Examiner(self.given, episodes, worlds)
        self.settings = settings(study)
        self.verifiers = {
            frames: rewarding_verifier(self.given, real, worlds, AlignConfig(frames=frames))
            for frames in {config.frames for config in self.settings.values() if config is not None}
        }
        self.anchor = self.examiner.anchor()
        self.worlds = [world.to_dict() for world in worlds]

    def run(self, arm: str) -> None:
        """One method from the base model to its row."""
        begun, study, config, folder = time.monotonic(), self.study, self.settings[arm], self.folder / arm
        model, clips = self.given, 0
        if config is not None:
            verifier = self.verifiers[config.frames]
            policy = self.folder / "none" / "policy" if config.policy_share else None
            model = align(
                self.given, self.data, folder / "model", config=config, seed=self.seed, verifier=verifier, policy=policy
            )
            clips = 0 if config.method == "supervised" else config.updates * config.starts * config.group
        tuned = time.monotonic() - begun
        found = self.examiner.examine(model)
        options = ImagineConfig(horizon=study.horizon, gamma=study.gamma)
        policy = imagine(model, study.imagine_steps, folder / "policy", config=options, seed=self.seed)
        real = evaluate(policy, task=study.task, episodes=EPISODES, world=DATA_WORLD.to_dict())
        dreamed = evaluate(policy, model=model, episodes=EPISODES)
        append_result(
            "rlpf",
            task=study.task,
            seed=self.seed,
            arm=arm,
            begun=begun,
            folder=RESULTS.parent,
            real_return={"mean": real.mean, "sem": real.sem},
            dreamed_return={"mean": dreamed.mean, "sem": dreamed.sem},
            examined=found,
            real=self.anchor,
            study=asdict(study),
            config=None if config is None else asdict(config),
            worlds=self.worlds,
            judged_frames=clips * (1 if config is None else config.frames),
            tuning_seconds=round(tuned),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = [study.task for study in STUDIES]
    parser.add_argument("--tasks", nargs="*", default=tasks, choices=tasks, help="ids to run")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="seeds to run")
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--threads", type=int, default=None, help="torch threads")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    for seed in options.seeds:
        for study in STUDIES:
            done = finished()
            missing = [arm for arm in options.methods if (study.task, seed, arm) not in done]
            if study.task not in options.tasks or not missing:
                continue
            bench = Bench(study, seed)
            for arm in missing:
                bench.run(arm)
                print(f"{study.task}, seed {seed}, {arm}: done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
