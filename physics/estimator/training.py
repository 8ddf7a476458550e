"""Trains one pose network on frames with known poses: pictures are disturbed as dreams are, labels are exact.

# N frames, B batch, M marks, P numbers of a code
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .networks import PoseNet

MARK_WEIGHT = 3.0
TRANSITION = 0.05  # of the Huber loss: errors below are squared, those above, of what cannot be seen, count singly
WARM_UP = 50  # steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a network is trained.

    Args:
        steps: Optimiser steps.
        batch: Frames a step.
        learning_rate: Largest, of AdamW, on a cosine schedule.
        noise: Largest standard deviation of the noise on the pixels of a picture, in 0 to 255.
        blurred: Share of the pictures that are blurred.
    """

    steps: int = 1500
    batch: int = 128
    learning_rate: float = 2e-3
    noise: float = 6.0
    blurred: float = 0.25


def fit_network(
    frames: NDArray[np.uint8],
    code: NDArray[np.float32],
    marks: NDArray[np.float32],
    fit: Fit,
    *,
    ground: bool,
    seed: int,
) -> PoseNet:
    """A network trained on frames (N, 64, 64, 3) with their codes (N, P) and marks (N, M, 2).

    The same arguments give the same network on the same machine.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = PoseNet(background_of(frames), marks=marks.shape[1], code=code.shape[1], ground=ground)
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), fit.learning_rate, weight_decay=1e-4)
    warm = min(WARM_UP, max(fit.steps // 10, 1))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / warm) * 0.5 * (1 + float(np.cos(np.pi * min(step / fit.steps, 1.0)))),
    )
    pictures, codes, places = torch.from_numpy(frames), torch.from_numpy(code), torch.from_numpy(marks)
    net.train()
    for _ in range(fit.steps):
        rows = torch.randint(len(pictures), (fit.batch,), generator=generator)
        picture = disturbed((pictures[rows].float() - net.background) / 255, fit, generator)
        with torch.autocast("cpu", torch.bfloat16):
            guess, found = net.read(picture.permute(0, 3, 1, 2))
        loss = F.huber_loss(guess.float(), codes[rows], delta=TRANSITION) / TRANSITION
        loss = loss + MARK_WEIGHT * _mark_loss(found.float(), places[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return net.eval()


def background_of(frames: NDArray[np.uint8], most: int = 500) -> Tensor:
    """The median picture (64, 64, 3) of at most `most` frames."""
    step = max(len(frames) // most, 1)
    return torch.from_numpy(np.median(frames[::step], axis=0).astype(np.float32))


def disturbed(picture: Tensor, fit: Fit, generator: torch.Generator) -> Tensor:
    """Pictures (B, 64, 64, 3) with noise, each with a strength of its own, and some of them blurred."""
    blurred = torch.rand(len(picture), generator=generator) < fit.blurred
    if blurred.any():
        some = picture[blurred].permute(0, 3, 1, 2)
        picture[blurred] = F.avg_pool2d(some, 3, 1, 1, count_include_pad=False).permute(0, 2, 3, 1)
    strength = torch.rand((len(picture), 1, 1, 1), generator=generator) * (fit.noise / 255)
    return picture + strength * torch.randn(picture.shape, generator=generator)


def _mark_loss(found: Tensor, places: Tensor) -> Tensor:
    if not places.shape[1]:
        return found.new_zeros(())
    inside = (places.abs().amax(-1) < 1).float()
    error = F.huber_loss(found, places, reduction="none", delta=TRANSITION).sum(-1) / TRANSITION
    return (error * inside).sum() / inside.sum().clamp(min=1)
