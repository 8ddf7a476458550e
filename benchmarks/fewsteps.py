"""The study behind docs/fewsteps.md: what a dream is worth that makes one, two or more denoising steps a frame.

For each task and seed a small teacher that knows all noise levels learns from a recording whose actions slip, so that
what comes next is random (benchmarks/slips.py), or do not (`--slips 0`). It is distilled by every method. The teacher
at 1, 2, 4 and 8 steps and each student at its own are measured alike: error against horizon and energy score on
held-out episodes, the physics verifier, the speed of the dream, and the return on the real task, slips included, of PPO
that learned in it.

`python -m benchmarks.fewsteps` resumes where it was killed and appends a row to results/fewsteps/fewsteps.jsonl per
finished arm; `--tasks`, `--seeds`, `--slips` and `--arms` choose some, `--threads 1` lets two share a machine of two
cores.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

import physics
from agents.align.dreams import dream
from agents.align.drivers import Recorded
from agents.align.grading import Grader, dense, grade
from agents.align.real_data import RealData
from agents.align.verifiers import REWARDED, real_clips
from agents.config import ImagineConfig
from agents.evaluate import evaluate
from agents.examine import verdict
from agents.imagine import imagine
from agents.rows import read_rows
from agents.speed import DreamSteps
from benchmarks.common import FOLDER, append_result
from benchmarks.slips import SlippingPolicy, record_slipping
from wmenv import EpisodeStore, WorldModel
from wmenv.distill import distill
from wmenv.distill_config import DistillConfig
from wmenv.metrics import energy_by_horizon, horizon_error
from wmenv.presets import PRESETS
from wmenv.train import held_out, train

RESULTS = FOLDER.parent / "results" / "fewsteps" / "fewsteps.jsonl"
RUNS = FOLDER.parent / "runs" / "fewsteps"
EPISODES, SLIP_SEED = 20, 5
SMALL = replace(
    PRESETS["tiny-flow"], width=64, depth=2, heads=2, head_width=128, steps=1200, rows=32, frames=6, rate=2e-3
)
CLIPS, FRAMES, NOISE = 64, 16, 0.01  # judged by the verifier; its noise as in agents.examine
SHOWN_HORIZONS = (1, 2, 5, 10, 20, 30, 40, 50)
DREAMS = 64  # stepped together where speed is measured


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """How one task is studied.

    Attributes:
        task: Gymnasium id; its episodes all have one length.
        record_steps: Recorded under evenly drawn actions.
        imagine_steps: Dreamed by PPO in each arm.
        horizon: Steps after which its dreams are truncated.
    """

    task: str
    record_steps: int
    imagine_steps: int
    horizon: int


STUDIES = (
    Study(task="wmenv/Reacher-v0", record_steps=4_000, imagine_steps=80_000, horizon=50),
    Study(task="wmenv/HalfCheetah-v0", record_steps=10_000, imagine_steps=80_000, horizon=100),
)
STUDENTS = {
    "consistency-1": DistillConfig(method="consistency", steps=1, updates=800, rows=32, frames=6),
    "consistency-2": DistillConfig(method="consistency", steps=2, updates=800, rows=32, frames=6),
    "flow_map": DistillConfig(method="flow_map", steps=1, updates=1200, rows=32, frames=6),
    "self_forcing-1": DistillConfig(method="self_forcing", steps=1, updates=300, rows=32, frames=6, rate=5e-4),
}
BEFORE = {"self_forcing-1": "consistency-1"}  # what a student goes on from; the others from the teacher
ARMS = {
    **{f"teacher-{steps}": ("teacher", steps) for steps in (8, 1, 2, 4)},
    "consistency-1": ("consistency-1", 1),
    "consistency-2": ("consistency-2", 2),
    "self_forcing-1": ("self_forcing-1", 1),
    **{f"flow_map-{steps}": ("flow_map", steps) for steps in (1, 2, 4, 8, 16)},
}


def finished(path: Path = RESULTS, *, returns: bool = True) -> set[tuple[str, float, int, str]]:
    """The (task, slip, seed, arm) that have their row, with returns if asked for."""
    rows = read_rows(path)
    wanted = [row for row in rows if row["real_return"] is not None or not returns]
    return {(row["task"], row["slip"], row["seed"], row["arm"]) for row in wanted}


def with_steps(model: WorldModel, steps: int) -> WorldModel:
    """The same weights with another default number of denoising steps."""
    other = copy.copy(model)
    other.config = replace(model.config, denoise_steps=steps)
    return other


class Bench:
    """What all arms of one task, slip and seed share: the recording, the models, the verifier.

    Args:
        study: The task.
        slip: Probability that an action slips.
        seed: Of everything.
    """

    def __init__(self, study: Study, slip: float, seed: int) -> None:
        self.study, self.slip, self.seed = study, slip, seed
        self.folder = RUNS / f"{study.task.split('/')[-1]}-slip-{slip:g}" / f"seed-{seed}"
        if not (self.folder / "recorded").exists():
            for part in ("done", "data"):  # of a recording that was killed
                shutil.rmtree(self.folder / part, ignore_errors=True)
            record_slipping(study.task, study.record_steps, slip, self.folder, seed=100 * seed)
            (self.folder / "recorded").touch()
        self.episodes = EpisodeStore.open(self.folder / "data").load()
        kept = [held_out(i, len(self.episodes)) for i in range(len(self.episodes))]
        self.kept = [e for e, k in zip(self.episodes, kept, strict=True) if k]
        self.learned = [e for e, k in zip(self.episodes, kept, strict=True) if not k]
        clips = real_clips(study.task, self.episodes, FRAMES + 1, 128)
        known = physics.calibrate(clips, noise=NOISE, worlds=(physics.World(),), signals=REWARDED)
        self.verifier = physics.MotionVerifier(study.task, calibration=known)

    def model(self, name: str) -> WorldModel:
        """The teacher or a student; made when it is first asked for."""
        folder = self.folder / name
        if (folder / "config.json").exists() and not (folder / "training").exists():
            return WorldModel.from_pretrained(folder)
        if name == "teacher":
            return train(self.folder / "data", folder, preset=SMALL, seed=self.seed)
        before = self.model(BEFORE.get(name, "teacher"))
        return distill(before, self.folder / "data", folder, config=STUDENTS[name], seed=self.seed)

    def run(self, arm: str, *, returns: bool) -> None:
        """One arm from its model to its row; without `returns` no policy learns in it."""
        begun = time.monotonic()
        name, steps = ARMS[arm]
        model = with_steps(self.model(name), steps)
        made = time.monotonic() - begun
        found = self.measure(model)
        earned = self._returns(model, arm) if returns else {"real_return": None, "dreamed_return": None}
        append_result(
            "fewsteps",
            task=self.study.task,
            seed=self.seed,
            slip=self.slip,
            arm=arm,
            steps=steps,
            begun=begun,
            folder=RESULTS.parent,
            **earned,
            measured=found,
            study=asdict(self.study),
            sizes=asdict(SMALL),
            config=asdict(STUDENTS[name]) if name in STUDENTS else None,
            making_seconds=round(made),
        )

    def _returns(self, model: WorldModel, arm: str) -> dict[str, Any]:
        """What PPO that learned in the model's dreams earns on the real task and in them."""
        study, options = self.study, ImagineConfig(horizon=self.study.horizon)
        policy = imagine(model, study.imagine_steps, self.folder / f"policy-{arm}", config=options, seed=self.seed)
        slipping = SlippingPolicy(policy, self.slip, SLIP_SEED)
        real = evaluate(slipping, task=study.task, episodes=EPISODES, num_envs=EPISODES)
        dreamed = evaluate(policy, model=model, episodes=EPISODES)
        return {
            name: {"mean": e.mean, "sem": e.sem} for name, e in (("real_return", real), ("dreamed_return", dreamed))
        }

    def measure(self, model: WorldModel) -> dict[str, Any]:
        """Everything about a model but what a policy makes of it."""
        errors = horizon_error(model, self.kept, self.learned)
        shown = [i for i, h in enumerate(errors["horizons"]) if h in SHOWN_HORIZONS]
        return {
            "horizon": {k: [errors[k][i] for i in shown] for k in ("horizons", "dream", "one_dream", "linear")},
            "energy": energy_by_horizon(model, self.kept),
            "V": self._judge(model),
            "steps_a_cpu_second": _speed(model),
        }

    def _judge(self, model: WorldModel) -> dict[str, Any]:
        """What the verifier says of dreams that begin in held-out contexts and are driven as those were."""
        generator = torch.Generator().manual_seed(self.seed)
        frames = min(FRAMES, min(e.num_steps for e in self.kept))
        context = RealData.of(model, self.episodes).contexts(model, CLIPS, frames, generator, kept=True)
        dreams = dream(model, context, Recorded(), None, frames, model.config.denoise_steps, generator)
        reports = grade(Grader(model, self.verifier), model, dreams, dense).reports
        judged = [report for report in reports if report is not None]
        return verdict(judged, [len(report.score) - 1 for report in judged])


def _speed(model: WorldModel, seconds: float = 1.0) -> float:
    """Dreamed steps in a second of this process's own time, which a busy machine does not stretch."""
    side = DreamSteps(model, DREAMS)
    side.step()
    done, begun = 0, time.process_time()
    while time.process_time() - begun < seconds:
        done += side.step()
    rate = done / (time.process_time() - begun)
    side.close()
    return rate


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = [study.task for study in STUDIES]
    parser.add_argument("--tasks", nargs="*", default=tasks, choices=tasks, help="ids to run")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="seeds to run")
    parser.add_argument("--slips", nargs="*", type=float, default=[0.5, 0.0], help="probabilities that actions slip")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--no-returns", action="store_true", help="let no policy learn; a later run without adds it")
    parser.add_argument("--threads", type=int, default=None, help="torch threads")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    for seed in options.seeds:
        for slip in options.slips:
            for study in (s for s in STUDIES if s.task in options.tasks):
                done = finished(returns=not options.no_returns)
                missing = [arm for arm in options.arms if (study.task, slip, seed, arm) not in done]
                bench = Bench(study, slip, seed) if missing else None
                for arm in missing:
                    assert bench is not None
                    bench.run(arm, returns=not options.no_returns)
    return 0


if __name__ == "__main__":
    sys.exit(main())
