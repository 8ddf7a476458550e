"""What a codec costs an agent: PPO in dreams whose caches are stored in fewer bits, and its return on the real task.

For each task and seed one world model (the teacher of benchmarks/fewsteps.py, whose actions do not slip here) dreams
from pages of every codec. All codecs share the model, the seeds of the dreams and those of PPO, and are compared in
pairs with pages in float32.

`python -m benchmarks.codecs` resumes where it was killed and appends a row to results/codecs/codecs.jsonl per finished
run; `--tasks`, `--seeds` and `--codecs` choose some, `--threads 1` lets two share a machine of two cores.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from agents import DreamVecEnv
from agents.config import ImagineConfig
from agents.evaluate import evaluate
from agents.imagine import dream_options, start_policy, train_policy
from agents.rows import read_rows
from benchmarks.common import FOLDER, append_result
from benchmarks.fewsteps import STUDIES, Bench, with_steps

RESULTS = FOLDER.parent / "results" / "codecs" / "codecs.jsonl"
CODECS = ("fp32", "bf16", "int8", "int4", "int2")
STEPS = 2  # denoising steps a frame
EPISODES = 50


def finished(path: Path = RESULTS) -> set[tuple[str, int, str]]:
    """The (task, seed, codec) that have their row."""
    return {(row["task"], row["seed"], row["codec"]) for row in read_rows(path)}


def run(bench: Bench, codec: str) -> None:
    """One agent from its first step to its row."""
    begun, study, config = time.monotonic(), bench.study, ImagineConfig(horizon=bench.study.horizon)
    model = with_steps(bench.model("teacher"), STEPS)
    policy = start_policy(model, config, seed=bench.seed, init=None, trained_on="dream")
    env = DreamVecEnv(model, config.num_envs, **dream_options(model, config), cache="paged", codec=codec)
    env.reset()
    stored = env.envs.cache_bytes  # learning closes it
    policy = train_policy(policy, env, study.imagine_steps, bench.folder / codec, config, seed=bench.seed)
    real, zero = (evaluate(actor, task=study.task, episodes=EPISODES) for actor in (policy, "zero"))
    append_result(
        "codecs",
        task=study.task,
        seed=bench.seed,
        begun=begun,
        folder=RESULTS.parent,
        codec=codec,
        steps=STEPS,
        real_return={"mean": real.mean, "sem": real.sem},
        zero_return={"mean": zero.mean, "sem": zero.sem},
        cache_bytes=stored,
        study=asdict(study),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = [study.task for study in STUDIES]
    parser.add_argument("--tasks", nargs="*", default=tasks, choices=tasks, help="ids to run")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="seeds to run")
    parser.add_argument("--codecs", nargs="*", default=list(CODECS), choices=list(CODECS))
    parser.add_argument("--threads", type=int, default=None, help="torch threads")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    for seed in options.seeds:
        for study in (s for s in STUDIES if s.task in options.tasks):
            done = finished()
            missing = [codec for codec in options.codecs if (study.task, seed, codec) not in done]
            bench = Bench(study, 0.0, seed) if missing else None
            for codec in missing:
                assert bench is not None
                run(bench, codec)
                print(f"{study.task}, seed {seed}, {codec}: done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
