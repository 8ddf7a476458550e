"""How much better a choice was than expected: generalised advantage estimation over frames and denoising steps.

# B dreams, T frames, S denoising steps
"""

from __future__ import annotations

import torch
from torch import Tensor

MOST = 5.0  # DDPO, arXiv 2305.13301, clips advantages there too
ALIKE = 1e-4  # of a reward: less says nothing
ODD = 0.25  # of a reward below the median: one of the score's four decades, or ten times worse


def frame_advantage(reward: Tensor, value: Tensor, alive: Tensor, gamma: float, trace: float) -> tuple[Tensor, Tensor]:
    """Advantages and returns of frames (Schulman et al., arXiv 1506.02438, equation 16).

    Args:
        reward: (B, T) that each frame earned.
        value: (B, T + 1) expected return before each frame, and before the one that would follow the last.
        alive: (B, T) bool; a frame that is not alive ended the dream before it: nothing counts from there on.
        gamma: Discount per frame.
        trace: Lambda.

    Returns:
        Advantage and return, each (B, T); 0 and meaningless where not alive.
    """
    going = alive.to(value.dtype)
    after = torch.cat((going[:, 1:], going[:, -1:]), dim=1)  # the last frame goes on beyond what was dreamed
    error = reward + gamma * value[:, 1:] * after - value[:, :-1]
    out, later = torch.zeros_like(reward), torch.zeros_like(reward[:, 0])
    for t in reversed(range(reward.shape[1])):
        follows = after[:, t] if t + 1 < reward.shape[1] else torch.zeros_like(later)
        later = (error[:, t] + gamma * trace * follows * later) * going[:, t]
        out[:, t] = later
    return out, (out + value[:, :-1]) * going


def within_groups(advantage: Tensor, judged: Tensor, group: int) -> Tensor:
    """Advantages (B, T) beside those of their group at the same frame, in units of their spread there.

    Twins that begin alike and are driven alike meet the same difficulties: what is left is what they chose. It takes
    out far more noise than the critic can, who would have to learn where a model errs, and the units keep a few frames
    that went very wrong from drowning all others. 0 where not all of a group are judged or all did alike.
    """
    by_group, weight = advantage.unflatten(0, (-1, group)), judged.unflatten(0, (-1, group))
    away = by_group - by_group.mean(1, keepdim=True)
    spread = by_group.std(1, keepdim=True)
    told = weight.all(1, keepdim=True) & (spread > ALIKE)
    return torch.where(told, away / spread.clamp(min=ALIKE), 0.0).flatten(0, 1)


def usual(reward: Tensor, judged: Tensor, group: int) -> Tensor:
    """(B, T) whether a frame's group fared no more than `ODD` worse than the median group.

    What fares so much worse began where nothing real is, such as deep beyond a joint's stop. What follows from there is
    violent, and a model that learns it forgets what comes before.
    """
    mean = reward.unflatten(0, (-1, group)).mean(1)
    known = judged.unflatten(0, (-1, group)).all(1)
    floor = mean[known].median() - ODD if known.any() else mean.min()
    return (mean >= floor).repeat_interleave(group, 0)


def normalised(advantage: Tensor, judged: Tensor) -> Tensor:
    """In units of their spread over what is judged, within +-`MOST`; 0 elsewhere."""
    spread = advantage[judged].std().clamp(min=1e-6)
    return torch.where(judged, (advantage - advantage[judged].mean()) / spread, 0.0).clamp(-MOST, MOST)


def group_advantage(reward: Tensor, alive: Tensor, group: int) -> Tensor:
    """GRPO's: a dream's mean reward in units of the spread within its group (arXiv 2402.03300, section 4.1.2).

    Args:
        reward: (B, T), groups of dreams that began alike lie beside each other.
        alive: (B, T) bool.
        group: Dreams of a group, at least 2; one whose dreams are all alike teaches nothing.

    Returns:
        (B, T), the same for every frame of a dream.
    """
    going = alive.to(reward.dtype)
    mean = ((reward * going).sum(1) / going.sum(1).clamp(min=1)).unflatten(0, (-1, group))
    away = mean - mean.mean(1, keepdim=True)
    spread = mean.std(1, keepdim=True)
    return torch.where(spread > 1e-8, away / (spread + 1e-8), 0.0).flatten()[:, None] * going


def step_advantage(frame: Tensor, steps: int, discount: float) -> Tensor:
    """Of each denoising step (B, T, S): its frame's, less for early steps, which settle less.

    Source: DPPO, arXiv 2409.00588, section 4.3.
    """
    weight = discount ** torch.arange(steps - 1, -1, -1, dtype=frame.dtype, device=frame.device)
    return frame.unsqueeze(-1) * weight
