"""PPO on the choices of a generator: the clipped surrogate over frames and denoising steps.

The ratio of a choice's probabilities is over many numbers at once, and the mean of its logarithm under the old model is
minus their divergence: as the model moves, all ratios fall below 1 and clipping no longer binds on one side. So the
logarithm is centred by that divergence, which is known in closed form, and divided by the square root of how many
numbers there are (as GRPO-Guard does, arXiv 2510.22319). At the old model its gradient is the plain one's, up to that
factor.

# B dreams, T frames, S denoising steps, N tokens, C channels
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wmenv import WorldModel

from .advantage import frame_advantage, group_advantage, normalised, step_advantage, usual, within_groups
from .chain import Gaussian, divergence, log_prob
from .config import AlignConfig
from .critic import Critic
from .dreams import Dreams, retrace
from .explorer import explorer
from .grading import Grades
from .optimizer import generator_optimizer
from .real_data import RealData


def centred_log_ratio(value: Tensor, new: Gaussian, old: Gaussian, used: Tensor) -> Tensor:
    """Logarithm of new over old density of `value`, of mean 0 under the old one, over root of the numbers `used`."""
    raw = log_prob(value, new, used) - log_prob(value, old, used)
    return (raw + divergence(old, new, used)) / math.sqrt(float(used.sum()))


def clipped(log_ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """PPO's loss of each choice (Schulman et al., arXiv 1707.06347, equation 7)."""
    ratio = log_ratio.exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


class PolicyGradient:
    """Learns from graded dreams.

    Args:
        model: Is tuned in place: its dynamics alone.
        real: What it must not forget.
        config: Options.
        seed: Of the noise's and the critic's weights and of the minibatches.
    """

    def __init__(self, model: WorldModel, real: RealData, config: AlignConfig, seed: int) -> None:
        c = model.config
        self.config, self.real = config, real
        error = math.sqrt(real.kept_loss(model))
        noise = explorer(model, config, error, seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            critic = Critic(c.num_tokens * c.token_dim, c.action_dim)
        self.module = nn.ModuleDict({"dynamics": model.dynamics, "noise": noise, "critic": critic}).to(model.device)
        self.model = model
        self.noise, self.critic, self.needs_dreams = noise, critic, True
        self.reference = copy.deepcopy(model).requires_grad_(False)
        self.used = used_numbers(model)
        self.optimizer = generator_optimizer(model, config, error, [*noise.parameters(), *critic.parameters()])

    def update(self, dreams: Dreams | None, grades: Grades | None, generator: torch.Generator) -> dict[str, float]:
        """One round of learning; returns its numbers."""
        assert dreams is not None and grades is not None
        config, (rows, _) = self.config, dreams.shape
        with torch.no_grad():
            old = retrace(self.model, dreams, self.noise, config.group)
            given = retrace(self.reference, dreams, self.noise, config.group)
            advantage, returns = self._advantage(dreams, grades)
        parts: dict[str, list[float]] = {}
        for _ in range(config.epochs):
            groups = torch.arange(rows).view(-1, config.group)[
                torch.randperm(rows // config.group, generator=generator)
            ]
            for part in groups.chunk(config.minibatches):
                index = part.flatten()
                for name, value in self._step(dreams, grades, old, given, advantage, returns, index, generator).items():
                    parts.setdefault(name, []).append(value)
        return {name: sum(values) / len(values) for name, values in parts.items()}

    def _advantage(self, dreams: Dreams, grades: Grades) -> tuple[Tensor, Tensor]:
        """Normalised advantages (B, T, S) and returns (B, T)."""
        config, judged = self.config, grades.judged
        if config.method == "grpo":
            frame = group_advantage(grades.reward, judged, config.group)
            return step_advantage(frame, dreams.chain.shape[2] - 1, config.denoise_discount), torch.zeros_like(frame)
        frame, returns = frame_advantage(grades.reward, self._values(dreams), dreams.alive, config.gamma, config.trace)
        if config.group == 1:
            frame = normalised(frame, judged)
        else:
            taught = judged  # of one word a clip, none is odd
            if config.method != "binary":
                taught = judged & usual(grades.reward, judged, config.group)
            frame = within_groups(frame, taught, config.group)
        return step_advantage(frame, dreams.chain.shape[2] - 1, config.denoise_discount), returns

    def _values(self, dreams: Dreams) -> Tensor:
        """(B, T + 1) what the critic expects before each frame and after the last."""
        latents = torch.cat((dreams.bases(), dreams.latents[:, -1:]), dim=1)
        return self.critic(latents, torch.cat((dreams.actions, dreams.next_action.unsqueeze(1)), dim=1))

    def _step(
        self,
        dreams: Dreams,
        grades: Grades,
        old: Sequence[Gaussian],
        given: Sequence[Gaussian],
        advantage: Tensor,
        returns: Tensor,
        index: Tensor,
        generator: torch.Generator,
    ) -> dict[str, float]:
        config, part = self.config, dreams.rows(index)
        weight = grades.judged[index].float()
        count = weight.sum().clamp(min=1)
        surrogate = drift = outside = torch.zeros((), device=weight.device)
        for k, new in enumerate(retrace(self.model, part, self.noise, config.group)):
            log_ratio = centred_log_ratio(part.chain[:, :, k + 1], new, _rows(old[k], index), self.used)
            loss = clipped(log_ratio, advantage[index, :, k], config.clip)
            surrogate = surrogate + (loss * weight).sum() / count
            still = Gaussian(given[k].mean[index], new.std.detach())
            apart = divergence(Gaussian(new.mean, new.std.detach()), still, self.used) / self.used.sum()
            drift = drift + (apart * weight).sum() / count
            outside = outside + ((log_ratio.exp() - 1).abs().gt(config.clip).float() * weight).sum() / count
        critic = torch.zeros((), device=weight.device)
        if config.method != "grpo":  # which has groups instead
            error = (self.critic(part.bases(), part.actions) - returns[index]).square()
            critic = (error * weight).sum() / count
        loss = surrogate + config.reference_weight * drift + critic
        real = torch.zeros(())
        if config.real_weight:
            real = self.real.loss(self.model, config.real_rows, config.real_frames, generator)
            loss = loss + config.real_weight * real
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), config.max_grad_norm)
        if math.isfinite(float(norm)):
            self.optimizer.step()
        return {
            "surrogate": surrogate.item(),
            "divergence": drift.item(),
            "clipped": outside.item(),
            "critic": critic.item(),
            "real": real.item(),
            "gradient": float(norm),
        }


def used_numbers(model: WorldModel) -> Tensor:
    """(N, C) bool, the numbers of a latent that mean something: state tokens may have empty channels."""
    used = torch.ones(model.latent_shape, dtype=torch.bool, device=model.device)
    slots = getattr(model.tokenizer, "slots", None)
    if slots is not None:
        used = torch.zeros_like(used)
        used.view(-1)[slots] = True
    return used


def _rows(g: Gaussian, index: Tensor) -> Gaussian:
    return Gaussian(g.mean[index], g.std[index])
