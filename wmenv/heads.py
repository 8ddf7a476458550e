"""Reward and termination of a transition, read from the two latents and the action between them.

# B rows (any leading axes), N tokens, C channels, A action size
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kernels import Linear


class TransitionHeads(nn.Module):
    """Two small MLPs over (z_before, z_after, action): reward in the task's unit, and the logit of termination.

    They look at the transition itself, not at the dynamics' features, so that a reward that depends on the action
    (every control cost does) or on a velocity (a difference of two frames) is right there in the input.
    """

    def __init__(self, num_tokens: int, token_dim: int, action_dim: int, width: int) -> None:
        super().__init__()
        size = 2 * num_tokens * token_dim + action_dim

        def mlp() -> nn.Sequential:
            return nn.Sequential(Linear(size, width), nn.SiLU(), Linear(width, width), nn.SiLU(), Linear(width, 1))

        self.reward, self.termination = mlp(), mlp()
        self.register_buffer("change_scale", torch.ones(num_tokens, token_dim))
        self.register_buffer("reward_mean", torch.zeros(()))
        self.register_buffer("reward_scale", torch.ones(()))
        self.change_scale: Tensor
        self.reward_mean: Tensor
        self.reward_scale: Tensor

    def forward(self, before: Tensor, after: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """(..., N, C), (..., N, C), (..., A) in [-1, 1] -> (normalised reward (...), termination logit (...))."""
        change = (after - before) / self.change_scale
        x = torch.cat((change.flatten(-2), after.flatten(-2), action), dim=-1)
        return self.reward(x).squeeze(-1), self.termination(x).squeeze(-1)

    @torch.no_grad()
    def rescale_reward(self, mean: Tensor, scale: Tensor) -> None:
        """Take a new unit for normalised rewards; what `read` answers stays what it was."""
        last = self.reward[-1]
        assert isinstance(last, nn.Linear)
        mean, scale = (x.to(self.reward_mean) for x in (mean, scale))
        last.weight.mul_(self.reward_scale / scale)
        last.bias.copy_((last.bias * self.reward_scale + self.reward_mean - mean) / scale)
        self.reward_mean.copy_(mean)
        self.reward_scale.copy_(scale)

    def read(self, before: Tensor, after: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """(reward in the task's unit, probability of termination)."""
        reward, logit = self(before, after, action)
        return reward * self.reward_scale + self.reward_mean, logit.sigmoid()
