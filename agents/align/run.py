"""The rounds of alignment: dream, grade, learn, look at the guards; resumed where they were stopped.

A round's random numbers come from (seed, round), so nothing but weights and moments has to be kept.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

from wmenv import CheckpointError, WorldModel, checkpoint

from .chain import Noise
from .config import EACH, AlignConfig
from .dreams import Context, Dreams, Driver, dream, starts_within
from .drivers import Recorded, Together
from .figures import figures
from .grading import Grader, Grades, Reward, binary, dense, grade
from .guards import Guards
from .policy_gradient import PolicyGradient
from .preferences import Preferences
from .real_data import RealData
from .supervised import Supervised

STEM = "alignment"
AVERAGED = 10  # of a run's rounds, one in so many is the reach of the average
MOST_TAKEN_BACK = 8  # in a row; by then the rate has been halved that often, and nothing more is to be had

Report = Callable[[dict[str, Any]], None]


class Learner(Protocol):
    """What learns from graded dreams."""

    model: WorldModel
    module: nn.ModuleDict
    optimizer: torch.optim.Optimizer
    noise: Noise
    needs_dreams: bool

    def update(self, dreams: Dreams | None, grades: Grades | None, generator: torch.Generator) -> dict[str, float]:
        """One round; without dreams for `needs_dreams` False."""
        ...


@dataclass(slots=True)
class Rounds:
    """Runs a learner through its rounds.

    Args:
        learner: Tunes its model in place.
        grader: Grades dreams.
        driver: Makes the driver of a round out of its generator.
        real: The recording.
        config: Options.
        seed: Of everything.
        folder: Keeps the state of the run.
        identity: What must agree for a state in `folder` to belong to this run.
        report: Told every round's numbers.
    """

    learner: Learner
    grader: Grader
    driver: Callable[[torch.Generator], Driver]
    real: RealData
    config: AlignConfig
    seed: int
    folder: Path
    identity: dict[str, Any]
    report: Report
    _least: float = field(default=0.0, init=False)  # held-out loss so far
    _share: float = field(default=1.0, init=False)  # of the learning rates that the guards have left
    _taken_back: int = field(default=0, init=False)  # looks in a row after which the weights were taken back
    _rates: list[float] = field(default_factory=list, init=False)
    _average: WorldModel = field(init=False)

    def __post_init__(self) -> None:
        self._rates = [group["lr"] for group in self.learner.optimizer.param_groups]

    def run(self) -> None:
        """All rounds that are left; the learner's model then has the weights that are kept.

        Raises:
            TrainingError: A reward is not finite.
            CheckpointError: The folder holds the state of another run.
        """
        model, config = self.learner.model, self.config
        self._average = copy.deepcopy(model).requires_grad_(False)
        given = figures(model, self.real)
        self._least = given.kept_loss
        begin = self._restore()
        good = self._state()
        for number in range(begin, config.updates):
            if self._taken_back == MOST_TAKEN_BACK:
                break
            started = time.monotonic()
            self._set_rates(1 - number / config.updates)
            row = self._round(number)
            self._follow(number)
            if (number + 1) % config.check_every == 0 or number + 1 == config.updates:
                now = figures(self._average, self.real)
                tripped = Guards(given, config, self._least).tripped(now)
                self._taken_back = self._taken_back + 1 if tripped else 0
                if tripped:
                    self._load(good)
                    self._share /= 2
                    now = figures(self._average, self.real)
                self._least = min(self._least, now.kept_loss)
                good = self._state()
                self._save(number + 1, good)
                row |= {f"figures/{name}": value for name, value in now._asdict().items()}
                row |= {"taken_back": len(tripped), "why": "; ".join(tripped)}
            self.report({"update": number + 1, "seconds": time.monotonic() - started, **row})
        model.dynamics.load_state_dict(self._average.dynamics.state_dict())

    @torch.no_grad()
    def _follow(self, number: int) -> None:
        """Moves the average towards the model: it is what is looked at and kept, without the noise of the last steps.

        Source: Polyak and Juditsky 1992, Acceleration of Stochastic Approximation by Averaging.
        """
        share = max(1 / (number + 1), min(1.0, AVERAGED / self.config.updates))
        for mean, value in zip(
            self._average.dynamics.parameters(), self.learner.model.dynamics.parameters(), strict=True
        ):
            mean.lerp_(value, share)

    def _round(self, number: int) -> dict[str, Any]:
        config, model = self.config, self.learner.model
        generator = torch.Generator().manual_seed(crc32(f"{self.seed} {number}".encode()))
        if not self.learner.needs_dreams:
            return {f"loss/{name}": value for name, value in self.learner.update(None, None, generator).items()}
        steps = config.denoise_steps or model.config.denoise_steps
        driver = self.driver(generator)
        if config.lead:
            roots = self.real.contexts(model, config.starts // EACH, config.lead + config.frames, generator)
            context = starts_within(model, roots, driver, config.lead, config.frames, steps, EACH, generator)
            driver = Recorded()
        else:
            context = self.real.contexts(model, config.starts, config.frames, generator)
        context = Context(*(field.repeat_interleave(config.group, 0) for field in context))
        driver = Together(driver, config.group)
        dreams = dream(model, context, driver, self.learner.noise, config.frames, steps, generator, config.group)
        grades = grade(self.grader, model, dreams, self._reward(generator))
        if not grades.judged.any():  # all of them ended before physics could say anything
            return {"clips": 0}
        lost = self.learner.update(dreams, grades, generator)
        return summary(grades) | {f"loss/{name}": value for name, value in lost.items()}

    def _set_rates(self, left: float) -> None:
        """They fall linearly: what PPO explores with late in a run is finer than what it corrects early."""
        for group, rate in zip(self.learner.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * left * self._share

    def _reward(self, generator: torch.Generator) -> Reward:
        if self.config.method == "binary":
            return binary
        if self.config.method == "random":
            return lambda report: torch.rand(len(report.score), generator=generator).numpy() - 1
        return dense

    # ---- what a killed run goes on from

    def _state(self) -> dict[str, Tensor]:
        tensors = {f"module.{n}": t.detach().clone() for n, t in self.learner.module.state_dict().items()}
        tensors |= {f"average.{n}": t.detach().clone() for n, t in self._average.dynamics.state_dict().items()}
        for g, group in enumerate(self.learner.optimizer.param_groups):
            for i, parameter in enumerate(group["params"]):
                for name, value in self.learner.optimizer.state.get(parameter, {}).items():
                    tensors[f"optimizer.{g}.{i}.{name}"] = torch.as_tensor(value).clone()
        return tensors

    def _load(self, tensors: dict[str, Tensor]) -> None:
        module = {n.removeprefix("module."): t for n, t in tensors.items() if n.startswith("module.")}
        checkpoint.load_tensors(self.learner.module, module, self.folder)
        average = {n.removeprefix("average."): t for n, t in tensors.items() if n.startswith("average.")}
        checkpoint.load_tensors(self._average.dynamics, average, self.folder)
        for g, group in enumerate(self.learner.optimizer.param_groups):
            for i, parameter in enumerate(group["params"]):
                start = f"optimizer.{g}.{i}."
                own = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
                self.learner.optimizer.state[parameter] = {n: copy.deepcopy(t) for n, t in own.items()}

    def _save(self, done: int, tensors: dict[str, Tensor]) -> None:
        description = {"identity": self.identity, "done": done, "share": self._share, "least": self._least}
        description["taken_back"] = self._taken_back
        checkpoint.write_checkpoint(self.folder, description, tensors, stem=STEM)

    def _restore(self) -> int:
        if not (self.folder / f"{STEM}.json").exists():
            return 0
        description, tensors = checkpoint.read_checkpoint(self.folder, stem=STEM)
        if description.get("identity") != self.identity:
            raise CheckpointError(
                f"{self.folder / STEM}.json: expected the state of this run, got one of another model, data, "
                "verifier, policy or settings; finish that run with its own, or remove the folder to start again"
            )
        done = description.get("done")
        if type(done) is not int or not 0 <= done <= self.config.updates:
            raise CheckpointError(f"{self.folder / STEM}.json: done: expected 0 to {self.config.updates}, got {done!r}")
        self._load(tensors)
        self._share, self._least = float(description["share"]), float(description["least"])
        self._taken_back = int(description["taken_back"])
        return done


def make_learner(model: WorldModel, real: RealData, config: AlignConfig, seed: int) -> Learner:
    """The learner of `config.method`."""
    if config.method in ("filter", "supervised"):
        return Supervised(model, real, config)
    if config.method == "dpo":
        return Preferences(model, real, config, seed)
    return PolicyGradient(model, real, config, seed)


def summary(grades: Grades) -> dict[str, float]:
    """A round's grades in a few numbers."""
    reports, judged = [report for report in grades.reports if report is not None], grades.judged.sum(1).tolist()
    score = np.concatenate([report.score[-count:] for report, count in zip(reports, filter(None, judged), strict=True)])
    return {
        "reward": float(grades.reward[grades.judged].mean()),
        "violations": float((score > 1).mean()),
        "plausible": float(np.mean([report.plausible for report in reports])),
        "clips": len(reports),
        **{f"fired/{name}": count / len(reports) for name, count in _fired(reports).items()},
    }


def _fired(reports: Sequence[Any]) -> dict[str, int]:
    count: dict[str, int] = {}
    for report in reports:
        for name in report.fired:
            count[name] = count.get(name, 0) + 1
    return count
