"""The study behind README's results table: agents trained in dreams against agents trained on the real task.

For each task and seed: the loop (record, train, imagine) runs, and then five policies meet the same real episodes:
random, zero action, the dreamed one, PPO on the real task with as many real steps as were recorded, and PPO on the real
task with as many steps as were dreamed. All learners read the same observations and have the same network. Where dreams
are discounted otherwise than usual, PPO on the real task learns with both discounts, and the better one counts.

`python -m benchmarks.returns` resumes where it was killed and appends a row to results/returns.jsonl per finished run;
`--tasks` and `--seeds` choose some of them, `--threads 1` lets two of them share a machine of two cores.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from agents.baselines import train_real
from agents.config import ImagineConfig
from agents.evaluate import evaluate
from agents.loop import LOG_NAME, loop, round_folder
from agents.rows import read_rows
from benchmarks.common import FOLDER, append_result
from wmenv.data import Episode, EpisodeStore
from wmenv.metrics import horizon_error, probe_latents
from wmenv.train import parted
from wmenv.world_model import WorldModel

RESULTS = FOLDER.parent / "results" / "returns.jsonl"
RUNS = FOLDER.parent / "runs" / "returns"
EPISODES = 50
USUAL_GAMMA = ImagineConfig().gamma
SHOWN_HORIZONS = (1, 2, 5, 10, 20, 30, 40, 50)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """How one task is learned.

    Attributes:
        task: Gymnasium id.
        obs: "frames" or "state".
        rounds: of the loop.
        record_steps: real steps of each round, and after the last.
        imagine_steps: dreamed steps of each round and policy.
        horizon: steps after which a dream is truncated.
        policies: dreamed in each round; they meet the one before in the next recording, and the best there goes on.
        behaviour: what acts in the first recording.
        starts: where dreams begin, see `ImagineConfig`.
        gamma: discount per step of PPO in dreams; on the real task it has this or the usual one, whichever earns more.
    """

    task: str
    obs: str
    rounds: int
    record_steps: int
    imagine_steps: int
    horizon: int
    policies: int = 1
    behaviour: str = "random"
    starts: Literal["any", "initial"] = "any"
    gamma: float = USUAL_GAMMA

    def settings(self) -> dict[str, Any]:
        """What a row tells of it."""
        names = ("rounds", "horizon", "policies", "behaviour", "starts", "gamma")
        return {name: getattr(self, name) for name in names}


BEFORE = {"policies": 1, "gamma": USUAL_GAMMA}  # what rows do not tell that are older than the setting


STUDIES = (
    Study(
        task="wmenv/InvertedPendulum-v0",
        obs="frames",
        rounds=4,
        record_steps=3_200,
        imagine_steps=25_000,
        horizon=100,
        policies=4,
        behaviour="explore",
    ),
    Study(
        task="wmenv/Reacher-v0",
        obs="frames",
        rounds=3,
        record_steps=7_000,
        imagine_steps=100_000,
        horizon=50,
        starts="initial",
    ),
    Study(task="wmenv/HalfCheetah-v0", obs="state", rounds=5, record_steps=8_000, imagine_steps=50_000, horizon=100),
    Study(
        task="wmenv/Hopper-v0",
        obs="state",
        rounds=4,
        record_steps=2_500,
        imagine_steps=64_000,
        horizon=200,
        behaviour="explore",
        gamma=0.999,  # with 0.99 a lunge that falls after 115 steps is worth more than to stand for all 1,000
    ),
    Study(
        task="wmenv/dmc-cheetah-run-v0", obs="state", rounds=5, record_steps=8_000, imagine_steps=50_000, horizon=100
    ),
    Study(
        task="wmenv/dmc-walker-walk-v0", obs="state", rounds=5, record_steps=8_000, imagine_steps=50_000, horizon=100
    ),
)


def finished(path: Path = RESULTS) -> set[tuple[Study, int]]:
    """The studies and seeds that have their row; one that was run with other settings does not count."""
    known = {(study.task, study.obs): study for study in STUDIES}
    rows = [(row, known.get((row["task"], row["modality"]))) for row in read_rows(path)]
    return {(study, row["seed"]) for row, study in rows if study and study.settings().items() <= (BEFORE | row).items()}


def run(study: Study, seed: int) -> None:
    """One task and seed, from the first recorded step to the row in results/returns.jsonl."""
    out = RUNS / f"{study.task.split('/')[-1]}-{study.obs}" / f"seed-{seed}"
    earlier = sum(row["wall_seconds"] for row in read_rows(out / LOG_NAME))  # rounds of a sitting that was killed
    begun = time.monotonic() - earlier
    config = ImagineConfig(horizon=study.horizon, starts=study.starts, gamma=study.gamma)
    loop(
        study.task,
        out,
        rounds=study.rounds,
        record_steps=study.record_steps,
        imagine_steps=study.imagine_steps,
        policies=study.policies,
        obs=study.obs,
        behaviour=study.behaviour,
        seed=100 * seed,
        episodes=10,
        config=config,
        progress=False,
        on_round=lambda r: print(f"{study.task}, seed {seed}, round {r.number}: {r.evaluation.mean:.1f}", flush=True),
    )
    last = round_folder(out, study.rounds - 1)
    store = EpisodeStore.open(out / "data", task=study.task)
    model = WorldModel.from_pretrained(last / "model")
    end = read_rows(out / LOG_NAME)[-1]
    dreamed = end["policy_steps"]
    policies: dict[str, Any] = {"random": "random", "zero": "zero", "dream": last / "policy"}
    returns = {arm: _earned(study, policy) for arm, policy in policies.items()}
    for arm, steps in (("real_equal_steps", store.num_steps), ("real_equal_policy_steps", dreamed)):
        rivals = []
        for gamma in sorted({study.gamma, USUAL_GAMMA}):
            rival = train_real(study.task, model, steps, out / f"{arm}-{gamma:g}", seed=seed, gamma=gamma)
            rivals.append(_earned(study, rival) | {"gamma": gamma})
        returns[arm] = max(rivals, key=lambda earned: earned["mean"])
    append_result(
        "returns",
        task=study.task,
        modality=study.obs,
        seed=seed,
        returns=returns,
        begun=begun,
        real_steps=store.num_steps,
        policy_steps=dreamed,
        **study.settings(),
        **_quality(model, store.load()[: end["episodes"]]),
    )


def _earned(study: Study, policy: Any) -> dict[str, Any]:
    """What a policy earns on the real task."""
    result = evaluate(policy, task=study.task, episodes=EPISODES)
    return {"mean": result.mean, "sem": result.sem, "episodes": result.episodes}


def _quality(model: WorldModel, episodes: Sequence[Episode]) -> dict[str, Any]:
    """Error against horizon, and for frames the probe, on those of the model's episodes that it was not trained on."""
    learned, kept = parted(episodes)
    errors = horizon_error(model, kept, learned)
    shown = [i for i, h in enumerate(errors["horizons"]) if h in SHOWN_HORIZONS]
    quality: dict[str, Any] = {
        "horizon_error": {
            k: [errors[k][i] for i in shown] for k in ("horizons", "dream", "one_dream", "copy_last", "linear", "clips")
        }
    }
    rivals = [min(pair) for pair in zip(errors["copy_last"], errors["linear"], strict=True)]
    quality["below_rivals_to"] = next(
        (h - 1 for h, d, r in zip(errors["horizons"], errors["dream"], rivals, strict=True) if d >= r), len(rivals)
    )
    if model.config.modality == "frames":
        quality["probe"] = probe_latents(model, learned, kept)
    return quality


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=[s.task for s in STUDIES], help="ids to run")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="seeds to run")
    parser.add_argument("--threads", type=int, default=None, help="torch threads")
    options = parser.parse_args(arguments)
    unknown = set(options.tasks) - {s.task for s in STUDIES}
    if unknown:
        parser.error(f"--tasks: expected some of {[s.task for s in STUDIES]}, got {sorted(unknown)}")
    if options.threads:
        torch.set_num_threads(options.threads)
    for seed in options.seeds:
        for study in STUDIES:
            if study.task in options.tasks and (study, seed) not in finished():
                run(study, seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
