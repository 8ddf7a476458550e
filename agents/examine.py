"""What a tuned model is worth, judged by V, which rewarded it, and by J, which never did, beside where it came from.

The only module of agents that knows the judge; nothing that makes a reward imports it (tests/physics/worlds).

# B dreams, T frames
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import physics
from physics.worlds.judge import judge as judging_world
from wmenv import Episode, WorldModel, metrics, train

from .align.dreams import Dreams, dream
from .align.drivers import Mixture, Random, Recorded
from .align.figures import figures
from .align.grading import Grader, StateGrader, dense, grade
from .align.real_data import RealData
from .align.verifiers import longest_clips, real_clips

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
        self._verifiers = {
            name: physics.MotionVerifier(
                task, calibration=physics.calibrate(clips, noise=NOISE, worlds=around), worlds=around
            )
            for name, around in (("V", worlds[:1]), ("J", (judging_world(task),)))
        }

    def anchor(self) -> dict[str, Any]:
        """What V and J say of real clips that neither was calibrated on: the least that a dream can be asked for."""
        task = next(iter(self._verifiers.values())).task
        clips = real_clips(task, self._kept, self._frames + 1, fewest=1)
        return {name: verdict(verifier.verify(clips)) for name, verifier in self._verifiers.items()}

    def examine(self, model: WorldModel) -> dict[str, Any]:
        """Everything about one model, as JSON values."""
        generator = torch.Generator().manual_seed(SEED)
        context = self._real.contexts(model, DREAMS, self._frames, generator, kept=True)
        driver = Mixture([(Recorded(), 1.0), (Random(model.config.action_dim, generator), 1.0)])
        dreams = dream(model, context, driver, None, self._frames, model.config.denoise_steps, generator)
        found: dict[str, Any] = {"frames": self._frames, "figures": figures(model, self._real)._asdict()}
        for name, verifier in self._verifiers.items():
            grader: Grader = StateGrader(model, verifier)
            found[name] = verdict([r for r in grade(grader, model, dreams, dense).reports if r is not None])
        found["phys_err_mm"] = self._phys_err(model, dreams)
        found["gap"] = found["V"]["plausible"] - found["J"]["plausible"]
        errors = metrics.horizon_error(model, self._kept, self._learned, horizon=HORIZON)
        found["horizon"] = {name: errors[name] for name in ("horizons", "dream", "one_dream", "clips")}
        return found

    @staticmethod
    def _phys_err(model: WorldModel, dreams: Dreams) -> float:
        """PhysDiff's Phys-Err, mean over the dreams that did not end."""
        whole = dreams.alive.all(1)
        if not whole.any():
            return float("nan")
        states = model.tokenizer.decode(torch.cat((dreams.context.latents[:, -1:], dreams.latents), dim=1)[whole])
        return float(physics.phys_err(physics.clips_of_states(model.config.task, states.double().cpu().numpy())).mean())


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
