"""Dreams to learn from: made by the world model's own step, every choice of the generator kept.

# B dreams, P context, T frames, S steps, N tokens, C channels, A action size
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from wmenv import WorldModel, dynamics

from .chain import Gaussian, Noise, Still, levels


class Context(NamedTuple):
    """Where dreams begin, and the actions that were really taken from there."""

    latents: Tensor  # (B, P, N, C)
    actions: Tensor  # (B, P, A) in [-1, 1], that led to each
    valid: Tensor  # (B, P) bool
    recorded: Tensor  # (B, T + 1, A) in [-1, 1]


class Driver(Protocol):
    """Gives the actions of dreams."""

    def begin(self, context: Context) -> None:
        """Dreams begin."""
        ...

    def act(self, t: int, observation: Tensor) -> Tensor:
        """The actions (B, A) in [-1, 1] of step t, where the dreams show `observation` (B, O)."""
        ...


class Dreams(NamedTuple):
    """B dreams of T frames, with the chain of choices that made each frame."""

    context: Context
    latents: Tensor  # (B, T, N, C)
    actions: Tensor  # (B, T, A) in [-1, 1]
    next_action: Tensor  # (B, A) what would be done after the last frame
    chain: Tensor  # (B, T, S + 1, N, C); y at every level, pure noise first
    alive: Tensor  # (B, T) bool, the dream had not ended before this frame

    @property
    def shape(self) -> tuple[int, int]:
        """(B, T)."""
        return self.latents.shape[0], self.latents.shape[1]

    def bases(self) -> Tensor:
        """(B, T, N, C) the latent before each frame."""
        return torch.cat((self.context.latents[:, -1:], self.latents[:, :-1]), dim=1)

    def rows(self, index: Tensor) -> Dreams:
        """Some of the dreams."""
        return Dreams(Context(*(field[index] for field in self.context)), *(field[index] for field in self[1:]))


@dataclass(slots=True)
class _Sampler:
    """`wmenv.sampling.denoise` with a choice at every step; keeps what was chosen."""

    action: Tensor
    noise: Noise
    chain: list[Tensor]

    def __call__(self, frame: dynamics.NextFrame, base: Tensor, noise: Tensor) -> Tensor:
        y, kept = noise[:, 0], [noise[:, 0]]
        for k, (level, lower) in enumerate(levels(noise.shape[1] - 1)):
            at, aim = (torch.full((1,), x, device=base.device) for x in (level, lower))
            answer = frame.estimate(base, y, at, aim)
            step = self.noise.step(y, answer, base, self.action, level, lower)
            y = step.mean + step.std * noise[:, k + 1]
            kept.append(y)
        self.chain.append(torch.stack(kept, dim=1))
        return base + frame.dynamics.delta_scale * y


@torch.no_grad()
def dream(
    model: WorldModel, context: Context, driver: Driver, noise: Noise | None, frames: int, steps: int,
    generator: torch.Generator, group: int = 1,
) -> Dreams:  # fmt: skip
    """Dreams `frames` frames from every context.

    Args:
        model: Dreams by `WorldModel.step`, as its environments do.
        context: B starts.
        driver: Acts.
        noise: With which it strays; None: not at all, as its environments dream.
        frames: T.
        steps: S, denoising steps of a frame.
        generator: Of all noise, on the CPU.
        group: Neighbouring rows that begin alike, see `grouped_noise`.
    """
    state = model.start_from(context.latents, context.actions, context.valid)
    rows, going = len(context.latents), torch.ones(len(context.latents), dtype=torch.bool, device=model.device)
    chains: list[Tensor] = []
    latents, actions, alive = [], [], []
    driver.begin(context)
    spread = noise or Still()
    for t in range(frames):
        action = driver.act(t, model.latent_observation(state))
        drawn = grouped_noise((rows, steps + 1, *model.latent_shape), group, generator).to(model.device)
        sampler = _Sampler(action, spread, chains)
        out = model.step(state, model.action_middle + model.action_half * action, drawn, consume=True, sampler=sampler)
        state = out.state
        latents.append(state.latents[:, -1])
        actions.append(action)
        alive.append(going)
        going = going & (out.termination <= 0.5)
    after = driver.act(frames, model.latent_observation(state))
    stacked = [torch.stack(each, dim=1) for each in (latents, actions, chains, alive)]
    return Dreams(context, stacked[0], stacked[1], after, *stacked[2:])


@torch.no_grad()
def starts_within(
    model: WorldModel, context: Context, driver: Driver, lead: int, frames: int, steps: int, each: int,
    generator: torch.Generator,
) -> Context:  # fmt: skip
    """Starts out of the model's own dreams, so that it is judged where its dreams go and not where real ones went.

    Args:
        model: Dreams without noise.
        context: B real starts.
        driver: Acts.
        lead: A start lies up to so many frames after the real one, as long as the dream goes on.
        frames: As many actions are to follow each start, and one more.
        steps: Of the sampler.
        each: Starts out of one dream.
        generator: Of noise and choice.

    Returns:
        B * each contexts; what acted in the dream is their recording.
    """
    went = dream(model, context, driver, None, lead + frames, steps, generator)
    actions = torch.cat((context.actions, went.actions, went.next_action.unsqueeze(1)), dim=1)
    latents = torch.cat((context.latents, went.latents), dim=1)
    valid = torch.cat((context.valid, torch.ones_like(went.alive)), dim=1)
    last = went.alive[:, :lead].sum(1).repeat_interleave(each, 0)
    drawn = torch.rand(len(last), generator=generator).to(last.device)
    after = (drawn * (last + 1)).long().minimum(last)  # frames dreamed before the start, 0 to `last`
    row = torch.arange(len(went.alive), device=last.device).repeat_interleave(each)[:, None]
    past = context.latents.shape[1]
    behind = after[:, None] + torch.arange(past, device=last.device)
    ahead = after[:, None] + past + torch.arange(frames + 1, device=last.device)
    return Context(latents[row, behind], actions[row, behind], valid[row, behind], actions[row, ahead])


def grouped_noise(shape: tuple[int, ...], group: int, generator: torch.Generator) -> Tensor:
    """Standard normal (B, S + 1, N, C) for groups of rows that differ in what they explore alone.

    The first of the S + 1, from which the flow starts, is the same for all rows of a group; the others come in pairs of
    opposite sign, so that what two twins earn differs by what they did and by little else.
    """
    rows, steps, *latent = shape
    start = torch.randn(rows // group, 1, 1, *latent, generator=generator).expand(-1, group, -1, *[-1] * len(latent))
    half = torch.randn(rows // group, (group + 1) // 2, steps - 1, *latent, generator=generator)
    explored = torch.stack((half, -half), dim=2).flatten(1, 2)[:, :group]
    return torch.cat((start, explored), dim=2).flatten(0, 1)


def retrace(model: WorldModel, dreams: Dreams, noise: Noise, group: int = 1) -> list[Gaussian]:
    """The distribution of every choice of the dreams under the model as it is now, with gradients.

    `group` neighbouring rows began alike, see `grouped_noise`.

    Returns:
        For each of S steps a Gaussian over (B, T, N, C).
    """
    rows, frames = dreams.shape
    if group > 1 and frames == 1 and dreams.chain.shape[2] == 2:  # one choice, before which a group is one row
        (first,) = retrace(model, dreams.rows(torch.arange(0, rows, group)), noise)
        return [Gaussian(*(field.repeat_interleave(group, 0) for field in first))]
    context, base = dreams.context, dreams.bases()
    known = context.latents.shape[1]
    latent = torch.cat((context.latents, dreams.latents), dim=1)
    action = torch.cat((context.actions, dreams.actions), dim=1)
    valid = torch.cat((context.valid, context.valid.new_ones(rows, frames)), dim=1)
    clean = latent.new_zeros(rows, known + frames)
    out = []
    for k, (level, lower) in enumerate(levels(dreams.chain.shape[2] - 1)):
        y = dreams.chain[:, :, k]
        noised = torch.cat((torch.zeros_like(context.latents), y), dim=1)
        at, aim = (torch.cat((clean[:, :known], torch.full_like(clean[:, known:], x)), dim=1) for x in (level, lower))
        answer = model.dynamics(latent, clean, noised, at, action, valid, context.latents[:, 0], aim)[:, known:]
        out.append(noise.step(y, answer, base, dreams.actions, level, lower))
    return out
