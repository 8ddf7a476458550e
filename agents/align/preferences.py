"""Direct preference optimisation: of dreams that begin alike, the better-graded one is to become likelier.

A dream of the sampler with noise is a chain of Gaussian choices, so its likelihood is exact, and the loss is the one of
language models (Rafailov et al. 2023, arXiv 2305.18290, equation 7) without the bound that diffusion models need:

    -log sigmoid(beta (log p(w) / p_given(w) - log p(l) / p_given(l))),

w the best-graded and l the worst-graded dream of a group, p_given the model that was given. Pairs are drawn anew from
the model as it is, each round. As in `policy_gradient`, logarithms are divided by the root of how many numbers they are
of.

# B dreams, G groups, T frames, S denoising steps
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from wmenv import WorldModel

from .advantage import ALIKE, usual
from .chain import Gaussian, log_prob
from .config import AlignConfig
from .dreams import Dreams, retrace
from .explorer import explorer
from .grading import Grades
from .optimizer import generator_optimizer
from .policy_gradient import used_numbers
from .real_data import RealData


def preference_loss(better: Tensor, worse: Tensor, beta: float) -> Tensor:
    """Loss (G,) of how much likelier each dream of a pair has become, (G,) logarithms."""
    return softplus(-beta * (better - worse))


def pairs(grades: Grades, group: int) -> tuple[Tensor, Tensor]:
    """Rows of the best-graded and the worst-graded dream of every group that says something, each (G,) long.

    Left out are groups of which one dream was not judged to its end, whose dreams fared alike, or that began where
    nothing real is (see `usual`).
    """
    mean = grades.reward.mean(1).unflatten(0, (-1, group))
    told = usual(grades.reward, grades.judged, group).all(1) & grades.judged.all(1)
    told = told.unflatten(0, (-1, group)).all(1) & (mean.amax(1) - mean.amin(1) > ALIKE)
    first = (torch.arange(len(mean), device=mean.device) * group)[told]
    return first + mean.argmax(1)[told], first + mean.argmin(1)[told]


class Preferences:
    """Learns from pairs of graded dreams.

    Args:
        model: Is tuned in place: its dynamics alone.
        real: What it must not forget.
        config: Options; `group` dreams from each start, `beta`.
        seed: Of the noise's weights, which stay as they are.
    """

    def __init__(self, model: WorldModel, real: RealData, config: AlignConfig, seed: int) -> None:
        self.model, self.real, self.config, self.needs_dreams = model, real, config, True
        error = math.sqrt(real.kept_loss(model))
        self.noise = explorer(model, config, error, seed).requires_grad_(False)
        self.module = nn.ModuleDict({"dynamics": model.dynamics, "noise": self.noise}).to(model.device)
        self.reference = copy.deepcopy(model).requires_grad_(False)
        self.used = used_numbers(model)
        self.optimizer = generator_optimizer(model, config, error)

    def update(self, dreams: Dreams | None, grades: Grades | None, generator: torch.Generator) -> dict[str, float]:
        """One round of learning; without a pair it learns from real data alone."""
        assert dreams is not None and grades is not None
        config, total = self.config, dict.fromkeys(("preference", "gap", "real", "gradient"), 0.0)
        better, worse = pairs(grades, config.group)
        steps = config.epochs * config.minibatches
        dreams = dreams.rows(torch.cat((better, worse)))  # all others say nothing
        with torch.no_grad():
            given = self._log_likelihood(self.reference, dreams) if len(better) else better
        for _ in range(config.epochs):
            order = torch.randperm(len(better), generator=generator).to(better.device)
            for part in order.tensor_split(config.minibatches):
                for name, value in self._step(dreams, given, part, len(better) + part, generator).items():
                    total[name] += value / steps
        return total | {"pairs": float(len(better))}

    def _step(
        self, dreams: Dreams, given: Tensor, better: Tensor, worse: Tensor, generator: torch.Generator
    ) -> dict[str, float]:
        """One gradient step on some pairs, and on real data; none where there is nothing to learn from."""
        config, told, loss = self.config, {}, None
        if len(better):
            index = torch.cat((better, worse))
            up, down = (self._log_likelihood(self.model, dreams.rows(index)) - given[index]).chunk(2)
            loss = preference_loss(up, down, config.beta).mean()
            told = {"preference": loss.item(), "gap": (up - down).detach().mean().item()}
        if config.real_weight:
            real = self.real.loss(self.model, config.real_rows, config.real_frames, generator)
            told["real"] = real.item()
            loss = config.real_weight * real if loss is None else loss + config.real_weight * real
        if loss is None:
            return told
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), config.max_grad_norm)
        if math.isfinite(float(norm)):
            self.optimizer.step()
        return told | {"gradient": float(norm)}

    def _log_likelihood(self, model: WorldModel, dreams: Dreams) -> Tensor:
        """(B,) of all choices of each dream, over the root of how many numbers they are."""
        steps: list[Gaussian] = retrace(model, dreams, self.noise)
        each = [log_prob(dreams.chain[:, :, k + 1], step, self.used) for k, step in enumerate(steps)]
        numbers = len(steps) * dreams.shape[1] * float(self.used.sum())
        return torch.stack(each).sum((0, 2)) / math.sqrt(numbers)
