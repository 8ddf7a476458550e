"""The plain ways to tune a generator, which RLPF has to beat: more real data, or the best of its own dreams.

# B dreams, T frames
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from wmenv import WorldModel, training

from .chain import Still
from .config import AlignConfig
from .dreams import Dreams
from .grading import Grades
from .optimizer import generator_optimizer
from .real_data import RealData


class Supervised:
    """`epochs` times `minibatches` gradient steps a round, on real data and, for "filter", on the best-graded dreams.

    Args:
        model: Is tuned in place: its dynamics alone.
        real: The recording.
        config: Options.
    """

    def __init__(self, model: WorldModel, real: RealData, config: AlignConfig) -> None:
        self.model, self.real, self.config = model, real, config
        self.noise = Still()  # what an exploring dream strays by is nothing to learn
        self.needs_dreams = config.method == "filter"
        self.module = nn.ModuleDict({"dynamics": model.dynamics})
        self.optimizer = generator_optimizer(model, config, math.sqrt(real.kept_loss(model)))

    def update(self, dreams: Dreams | None, grades: Grades | None, generator: torch.Generator) -> dict[str, float]:
        """One round of learning; without dreams it is on real data alone."""
        config, total = self.config, {"real": 0.0, "dreams": 0.0}
        kept = None if dreams is None or grades is None else best_dreams(dreams, grades, config.best)
        steps = config.epochs * config.minibatches
        for _ in range(steps):
            real = self.real.loss(self.model, config.real_rows, config.real_frames, generator)
            loss = config.real_weight * real if kept is not None else real
            if kept is not None:
                own = self._own(kept, generator)
                total["dreams"] += own.item() / steps
                loss = loss + own
            total["real"] += real.item() / steps
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.module.parameters(), config.max_grad_norm)
            self.optimizer.step()
        return total

    def _own(self, kept: training.LatentEpisodes, generator: torch.Generator) -> Tensor:
        config = self.config
        return self.real.loss_on(self.model, kept, config.real_rows, config.real_frames, generator)


def best_dreams(dreams: Dreams, grades: Grades, share: float) -> training.LatentEpisodes | None:
    """The `share` of the judged dreams with the highest mean reward, as episodes; None if none was judged."""
    count = grades.judged.sum(1)
    mean = torch.where(count > 0, grades.reward.sum(1) / count.clamp(min=1), -torch.inf)
    judged = int((count > 0).sum())
    if judged == 0:
        return None
    best = mean.argsort(descending=True)[: max(1, round(share * judged))].tolist()
    latents = torch.cat((dreams.context.latents[:, -1:], dreams.latents), dim=1).cpu()
    lasts = count.tolist()
    return training.LatentEpisodes.lay(
        [latents[b, : lasts[b] + 1] for b in best],
        [dreams.actions[b, : lasts[b]].cpu() for b in best],
        [torch.zeros(lasts[b]) for b in best],
        [False] * len(best),
    )
