"""What a tuned model is worth, judged by V, as its rewards were, and by J, which never rewards; and where it came from.

The only module of agents that knows the judge; nothing that makes a reward imports it (tests/physics/worlds).

# B dreams, T frames
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import physics
from physics.worlds.judge import judge as judging_world
from wmenv import Episode, WorldModel, metrics, train

from .align.dreams import Dreams, dream
from .align.drivers import Mixture, Random, Recorded
from .align.figures import figures
from .align.grading import Grader, dense, grade, laid_out
from .align.real_data import RealData
from .align.verifiers import calibrated, longest_clips, real_clips

DREAMS, FRAMES, SEED = 128, 24, 73  # fewer frames where the recorded episodes are shorter
NOISE = 0.01  # errors of dreamed states, in spreads of real ones, that are not held against a dream
HORIZON = 64


class Examiner:
    """Examines models of one recording, all in the same way.

    Args:
        model: Any of them; says how the recording is parted and what the dreams are of.
        episodes: The recording, in the order in which it was recorded.
        worlds: V's, the centre first.
    """

    def __init__(self, model: WorldModel, episodes: Sequence[Episode], worlds: Sequence[physics.World]) -> None:
        self._real = RealData.of(model, episodes)
        self._learned, self._kept = train.parted(episodes)
        self._frames = longest_clips(self._learned, FRAMES + 1) - 1
        task, clips = model.config.task, real_clips(model.config.task, self._learned, self._frames + 1)
        self._graders = {
            name: Grader.of(model, calibrated(model, clips, around, noise=NOISE))
            for name, around in (("V", worlds[:1]), ("J", (judging_world(task),)))
        }

    def anchor(self) -> dict[str, Any]:
        """What V and J say of real clips that neither was calibrated on: the least that a dream can be asked for."""
        model, generator = self._graders["V"].model, torch.Generator().manual_seed(SEED)
        context, true, reached = self._real.cut(model, self._frames, DREAMS, generator, kept=True)
        whole = reached.all(1)
        latents = torch.cat((context.latents[:, -1:], true), dim=1)[whole]
        actions = model.action_middle + model.action_half * context.recorded[whole, : self._frames]
        led = actions.double().cpu().numpy()
        judged = {name: grader.reports(latents, led) for name, grader in self._graders.items()}
        return {name: verdict(reports) for name, reports in judged.items() if reports}

    def examine(self, model: WorldModel) -> dict[str, Any]:
        """Everything about one model, as JSON values."""
        generator = torch.Generator().manual_seed(SEED)
        context = self._real.contexts(model, DREAMS, self._frames, generator, kept=True)
        driver = Mixture([(Recorded(), 1.0), (Random(model.config.action_dim, generator), 1.0)])
        dreams = dream(model, context, driver, None, self._frames, model.config.denoise_steps, generator)
        found: dict[str, Any] = {"frames": self._frames, "figures": figures(model, self._real)._asdict()}
        for name, grader in self._graders.items():
            grades = grade(replace(grader, model=model), model, dreams, dense)
            found[name] = verdict([r for r in grades.reports if r is not None])
        found["phys_err_mm"] = self._phys_err(model, dreams)
        found["gap"] = found["V"]["plausible"] - found["J"]["plausible"]
        errors = metrics.horizon_error(model, self._kept, self._learned, horizon=HORIZON)
        found["horizon"] = {name: errors[name] for name in ("horizons", "dream", "one_dream", "clips")}
        return found

    def _phys_err(self, model: WorldModel, dreams: Dreams) -> float | None:
        """PhysDiff's Phys-Err, mean over the dreams that did not end; None if all did."""
        whole = dreams.alive.all(1)
        if not whole.any():
            return None
        latents, actions = laid_out(model, dreams)
        clips, _ = replace(self._graders["V"], model=model).read(latents[whole], actions[whole.cpu().numpy()])
        return float(physics.phys_err(clips).mean())


def verdict(reports: Sequence[physics.PhysicsReport]) -> dict[str, Any]:
    """Of many dreams: how many of their frames and clips no real one looks like, and why."""
    frames = np.concatenate([report.score[1:] for report in reports])
    scores = np.array([report.clip_score for report in reports])
    names = sorted({name for report in reports for name in report.fired})
    return {
        "clips": len(reports),
        "violations": float((frames > 1).mean()),
        "plausible": float(np.mean([report.plausible for report in reports])),
        "clip_score": {"median": float(np.median(scores)), "upper": float(np.quantile(scores, 0.95))},
        "fired": {name: float(np.mean([name in report.fired for report in reports])) for name in names},
    }
