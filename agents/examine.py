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
from wmenv import Episode, WorldModel, metrics

from .align.dreams import Dreams, dream
from .align.drivers import Mixture, Random, Recorded
from .align.figures import figures
from .align.grading import Grader, Motions, motions
from .align.real_data import RealData
from .align.verifiers import calibrated, longest_clips, seen_clips, shown_before

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
        before = shown_before(model)
        self._frames = longest_clips(self._real.episodes, before + FRAMES, before + 1) - before
        seen = seen_clips(model, self._real, self._frames)
        self._graders = {
            name: Grader.of(model, calibrated(model, seen, around, noise=NOISE))
            for name, around in (("V", worlds[:1]), ("J", (judging_world(model.config.task),)))
        }

    def anchor(self) -> dict[str, Any]:
        """What V and J say of real clips that neither was calibrated on: the least that a dream can be asked for."""
        model, generator = self._graders["V"].model, torch.Generator().manual_seed(SEED)
        context, true, reached = self._real.cut(model, self._frames, DREAMS, generator, kept=True)
        led = context.recorded
        real = Dreams(context, true, led[:, :-1], led[:, -1], true.unsqueeze(2), reached)  # laid out as dreams are
        read = motions(self._graders["V"], model, real.rows(reached.all(1)))
        return {name: self._judged(name, read) for name in self._graders} if read else {}

    def examine(self, model: WorldModel) -> dict[str, Any]:
        """Everything about one model, as JSON values."""
        generator = torch.Generator().manual_seed(SEED)
        context = self._real.contexts(model, DREAMS, self._frames, generator, kept=True)
        driver = Mixture([(Recorded(), 1.0), (Random(model.config.action_dim, generator), 1.0)])
        dreams = dream(model, context, driver, None, self._frames, model.config.denoise_steps, generator)
        found: dict[str, Any] = {"frames": self._frames, "figures": figures(model, self._real)._asdict()}
        read = motions(replace(self._graders["V"], model=model), model, dreams)
        for name in self._graders:
            found[name] = self._judged(name, read)
        whole = [clip for part in read if part.frames == self._frames for clip in part.clips]
        found["phys_err_mm"] = float(physics.phys_err(whole).mean()) if whole else None  # of dreams that did not end
        found["gap"] = found["V"]["plausible"] - found["J"]["plausible"]
        errors = metrics.horizon_error(model, self._real.kept, self._real.learned, horizon=HORIZON, forecast=False)
        found["horizon"] = {name: errors[name] for name in ("horizons", "one_dream", "clips")}
        return found

    def _judged(self, name: str, read: Sequence[Motions]) -> dict[str, Any]:
        verifier = self._graders[name].verifier
        reports = [(part.frames, report) for part in read for report in verifier.verify(part.clips, part.unsure)]
        return verdict([report for _, report in reports], [frames for frames, _ in reports])


def verdict(reports: Sequence[physics.PhysicsReport], dreamed: Sequence[int]) -> dict[str, Any]:
    """Of many dreams: how many of their frames and clips no real one looks like, and why.

    Args:
        reports: One for each dream.
        dreamed: How many of its last frames were dreamed; those before are no fault of the model.
    """
    frames = np.concatenate([report.score[-count:] for report, count in zip(reports, dreamed, strict=True)])
    scores = np.array([report.clip_score for report in reports])
    names = sorted({name for report in reports for name in report.fired})
    return {
        "clips": len(reports),
        "violations": float((frames > 1).mean()),
        "plausible": float(np.mean([report.plausible for report in reports])),
        "clip_score": {"median": float(np.median(scores)), "upper": float(np.quantile(scores, 0.95))},
        "fired": {name: float(np.mean([name in report.fired for report in reports])) for name in names},
    }
