"""Trains one network from features to codes; the only file of physics that imports torch, and only when it runs.

# N frames, F features, H width, P numbers of a code
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .readers import LAYERS, Reader

TRANSITION = 0.05  # of the Huber loss: smaller errors count squared, larger ones, of what is hidden, singly
LEAST_SCALE = 0.01  # of a feature; what hardly varied in training must not shout when it does
NOISE = 6.0  # largest standard deviation of noise on the pixels, in 0 to 255
GAIN = 0.05  # by which the brightness is changed at most
BLURRED = 0.25  # share of the disturbed pictures that are blurred


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a network is trained.

    Args:
        steps: Optimiser steps.
        batch: Frames a step.
        learning_rate: Largest, of AdamW, on a one-cycle schedule.
        hidden: H.
    """

    steps: int = 6000
    batch: int = 256
    learning_rate: float = 3e-3
    hidden: int = 192


def fit_reader(features: NDArray[np.float32], code: NDArray[np.float32], fit: Fit, *, seed: int) -> Reader:
    """A network trained on features (N, F) with their codes (N, P).

    The same arguments give the same network on the same machine.
    """
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(seed)
    middle, scale = features.mean(0), features.std(0) + LEAST_SCALE
    widths = (features.shape[1], fit.hidden, fit.hidden, code.shape[1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        linear = [nn.Linear(widths[k], widths[k + 1]) for k in range(LAYERS)]
    net = nn.Sequential(linear[0], nn.SiLU(), linear[1], nn.SiLU(), linear[2])
    x, y = torch.from_numpy((features - middle) / scale), torch.from_numpy(code)
    optimizer = torch.optim.AdamW(net.parameters(), fit.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, fit.learning_rate, total_steps=max(fit.steps, 2))
    for _ in range(fit.steps):
        rows = torch.randint(len(x), (fit.batch,), generator=generator)
        loss = nn.functional.huber_loss(net(x[rows]), y[rows], delta=TRANSITION) / TRANSITION
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    arrays = {"middle": middle, "scale": scale}
    for k, layer in enumerate(linear):
        arrays |= {f"weight{k}": layer.weight.detach().numpy(), f"bias{k}": layer.bias.detach().numpy()}
    return Reader(arrays)


def disturbed(frames: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Frames (N, 64, 64, 3) a little wrong, as dreams are: noise, brightness, and some of them blurred."""
    out = frames.astype(np.float32)
    blurred = np.nonzero(rng.random(len(frames)) < BLURRED)[0]
    if len(blurred):
        some = out[blurred]
        for axis in (1, 2):
            some = (np.roll(some, 1, axis) + 2 * some + np.roll(some, -1, axis)) / 4
        out[blurred] = some
    shape = (len(frames), 1, 1, 1)
    out *= 1 + GAIN * rng.uniform(-1, 1, shape).astype(np.float32)
    strength = NOISE * rng.random(shape).astype(np.float32)
    out += strength * rng.standard_normal(frames.shape, dtype=np.float32)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)
