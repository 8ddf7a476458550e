"""Are denoising steps better spent where frames are hard? Fixed numbers of them against a tolerance, at equal cost.

The teachers of benchmarks/fewsteps.py (actions slip, so that what comes next is random) dream from held-out contexts in
1 to 8 steps, and in up to 5 with rows that end at rest (`wmenv.sampling.RestingSampler`). Cost is passes a frame;
quality is the energy score of 16-step dreams, against what a fixed number of steps of the same cost would have, by
linear interpolation between whole numbers.

`python -m benchmarks.budget` writes benchmarks/budget.json; it trains teachers that are missing.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from functools import partial
from statistics import mean

import numpy as np
import torch

from benchmarks.common import Value, write
from benchmarks.fewsteps import STUDIES, Bench, with_steps
from wmenv import WorldModel
from wmenv.metrics import energy_by_horizon
from wmenv.sampling import RestingSampler

STEPS = (1, 2, 3, 4, 6, 8)
MOST = 5
TOLERANCES = (0.4, 0.2, 0.1, 0.05)
SLIP = 0.5


def score(model: WorldModel, bench: Bench) -> float:
    """Mean energy score over the horizon; lower is better."""
    return mean(energy_by_horizon(model, bench.kept)["score"])


def resting(model: WorldModel, sampler: RestingSampler) -> WorldModel:
    """The same weights, whose dreams end a row's denoising as `sampler` does."""
    other = copy.copy(model)
    other.step = partial(model.step, sampler=sampler)  # type: ignore[method-assign]
    return other


def measure(bench: Bench) -> list[dict[str, Value]]:
    """A row for each number of steps and each tolerance."""
    teacher = bench.model("teacher")
    fixed = {steps: score(with_steps(teacher, steps), bench) for steps in STEPS}
    common: dict[str, Value] = {"task": bench.study.task, "slip": bench.slip, "seed": bench.seed}
    rows = [common | {"budget": f"{s} steps", "passes": float(s), "score": e, "fixed": e, "ratio": 1.0}
            for s, e in fixed.items()]  # fmt: skip
    for tolerance in TOLERANCES:
        sampler = RestingSampler(tolerance)
        found = score(resting(with_steps(teacher, MOST), sampler), bench)
        passes = sampler.passes / sampler.frames
        same = float(np.interp(passes, list(fixed), list(fixed.values())))
        rows.append(
            common
            | {"budget": f"tolerance {tolerance}", "passes": passes, "score": found, "fixed": same,
               "ratio": found / same}
        )  # fmt: skip
    return rows


def over_seeds(rows: Sequence[dict[str, Value]]) -> list[dict[str, Value]]:
    """A row for each task and budget: means over the seeds, and the least and the largest ratio."""
    out: list[dict[str, Value]] = []
    for task, budget in dict.fromkeys((row["task"], row["budget"]) for row in rows):
        some = [row for row in rows if (row["task"], row["budget"]) == (task, budget)]
        told = {name: [float(row[name] or 0.0) for row in some] for name in ("passes", "score", "fixed", "ratio")}
        means: dict[str, Value] = {name: mean(values) for name, values in told.items()}
        edges: dict[str, Value] = {"ratio_low": min(told["ratio"]), "ratio_high": max(told["ratio"])}
        out.append({"task": task, "slip": some[0]["slip"], "seeds": len(some), "budget": budget} | means | edges)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="seeds of the teachers")
    parser.add_argument("--threads", type=int, default=None, help="torch threads")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = [row for seed in options.seeds for study in STUDIES for row in measure(Bench(study, SLIP, seed))]
    for row in rows:
        print(row, flush=True)
    notes = "Ratio: energy score over that of fixed steps at the same cost, below 1 wins; low and high: of all seeds."
    write("budget", over_seeds(rows), notes=notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
