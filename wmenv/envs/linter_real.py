"""Does a dream answer actions as the real task does? Both meet random actions, and a linear fit compares them.

An action off by one leaves no trace inside a dream that was trained so: the model believes its data. But then the
action explains nothing of the dreamed change, while it explains a part of the real one. The fit is linear in the action
and in its products with the main directions of the observation, since a torque moves an arm along its pose.

# M transitions, O numbers of an observation, A action size
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from ..errors import InputError
from .linter_trace import Array, Finding, Trace, roll, sample_actions, unchecked
from .model import DreamModel, device_of

NUM_TRANSITIONS = 5000
"""Enough for a fit of some hundred coordinates, of which half are held out."""
DIRECTIONS = 6
"""Main directions of the observation by which the answer to an action may vary."""
ENCODED_AT_ONCE = 64
"""Recorded episodes that are encoded as one batch."""
WEAK = 0.01
"""Share of the unexplained change below which an action is not seen to act at all."""


class Transitions(NamedTuple):
    """Transitions within episodes, with the action before as well."""

    obs: Array  # (M, O)
    action: Array  # (M, A)
    action_before: Array  # (M, A)
    next_obs: Array  # (M, O)
    reward: Array  # (M,)


def compare_with_reality(
    envs: VectorEnv, real: VectorEnv | Iterable[Any], model: DreamModel | None, seed: int
) -> Iterator[Finding]:
    """What the dream gets wrong about actions.

    Raises:
        InputError: if `real` has other spaces, or episodes are given without a model.
    """
    if isinstance(real, VectorEnv):
        if real.single_observation_space.shape != envs.single_observation_space.shape:
            raise InputError(
                f"real: expected observations {envs.single_observation_space.shape}, got "
                f"{real.single_observation_space.shape}; wrap it with agents.wrap_real"
            )
        real_moves = _from_env(real, seed)
    elif model is None:
        raise InputError("real: expected a VectorEnv, got episodes; pass the world model that encodes them as `dream`")
    else:
        real_moves = _from_episodes(real, model)
    dream_moves = _from_env(envs, seed)
    ruler = _Ruler.of(real_moves.obs)
    now = [_answer(moves, ruler, moves.action) for moves in (real_moves, dream_moves)]
    before = [_answer(moves, ruler, moves.action_before) for moves in (real_moves, dream_moves)]
    (truth, real_weights), (dreamed, dream_weights) = now
    seen = f"the action explains {truth:.0%} of the real change and {dreamed:.0%} of the dreamed one"
    seen += f"; the action before it {before[0][0]:.0%} and {before[1][0]:.0%}"
    if truth < WEAK:
        yield unchecked("action-misaligned", f"{seen}; reality must answer random actions for a comparison")
        return
    if dreamed < 0.3 * truth:
        text = f"{seen}: the dream learned from actions that are off by a step, or ignores them"
        yield Finding(code="action-misaligned", message=text)
    elif (likeness := _likeness(real_weights, dream_weights)) < 0.5:
        text = f"the dream answers actions in another direction than the task (cosine {likeness:.2f})"
        yield Finding(code="action-misaligned", message=text)
    cost, dreamed_cost = (_reward_answer(moves, ruler) for moves in (real_moves, dream_moves))
    if cost > 0.1 and dreamed_cost < 0.3 * cost:
        text = f"given both observations, the action explains {cost:.0%} of the real reward"
        yield Finding(code="reward-misses-action", message=f"{text}, but {dreamed_cost:.0%} of the dreamed one")


def _from_env(envs: VectorEnv, seed: int) -> Transitions:
    steps = max(8, NUM_TRANSITIONS // envs.num_envs)
    actions = sample_actions(envs, steps, seed + 2)
    return _join(roll(envs, actions, seed=seed), actions)


def _join(trace: Trace, actions: Array) -> Transitions:
    """The transitions whose action before belongs to the same episode."""
    inner = ~trace.ended[:-1]
    flat = actions.reshape(*trace.ended.shape, -1).astype(np.float64)
    return Transitions(
        trace.obs[1:-1][inner], flat[1:][inner], flat[:-1][inner], trace.after[1:][inner], trace.reward[1:][inner]
    )


def _from_episodes(episodes: Iterable[Any], model: DreamModel) -> Transitions:
    """Recorded episodes, seen through the model's encoder."""
    kept, total = [], 0
    for episode in episodes:
        kept.append(episode)
        total += len(episode.action) - 1
        if total >= NUM_TRANSITIONS:
            break
    if total < 50:
        raise InputError(f"real: expected at least 50 recorded transitions, got {total}; record more episodes")
    parts: list[Transitions] = []
    for first in range(0, len(kept), ENCODED_AT_ONCE):
        batch = kept[first : first + ENCODED_AT_ONCE]
        for episode, obs in zip(batch, _encode(batch, model), strict=True):
            obs, action = obs[: len(episode.action) + 1], np.asarray(episode.action, dtype=np.float64)
            parts.append(Transitions(obs[1:-1], action[1:], action[:-1], obs[2:], np.asarray(episode.reward)[1:]))
    return Transitions(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def _encode(batch: list[Any], model: DreamModel) -> Array:
    """Latent observations (episodes, longest T + 1, O); short episodes go on with their last observation."""
    shown = [np.asarray(e.frames if model.config.modality == "frames" else e.state) for e in batch]
    longest = max(map(len, shown))
    padded = np.stack([np.concatenate((x, np.repeat(x[-1:], longest - len(x), axis=0))) for x in shown], axis=1)
    latents, encoder = [], None
    with torch.no_grad():
        for obs in torch.from_numpy(padded).to(device_of(model)):
            encoder = model.encoder_reset(obs) if encoder is None else model.encoder_step(encoder, obs)
            latents.append(model.encoder_observation(encoder).double().cpu().numpy())
    return np.stack(latents, axis=1)


class _Ruler(NamedTuple):
    """How observations are measured: coordinates that live in reality, their spread, and their main directions."""

    alive: Array  # (O,) bool; a padded coordinate of a latent is always zero
    mean: Array  # (living,)
    scale: Array  # (living,)
    directions: Array  # (DIRECTIONS, living), which give the observation unit variance

    @classmethod
    def of(cls, obs: Array) -> _Ruler:
        spread = obs.std(axis=0)
        alive = spread > 1e-3 * spread.max()
        mean, scale = obs[:, alive].mean(axis=0), spread[alive]
        _, size, directions = np.linalg.svd((obs[:, alive] - mean) / scale, full_matrices=False)
        size, directions = size[:DIRECTIONS], directions[:DIRECTIONS]
        return cls(alive, mean, scale, directions / np.maximum(size, 1e-6)[:, None] * np.sqrt(len(obs)))

    def read(self, obs: Array) -> Array:
        return (obs[:, self.alive] - self.mean) / self.scale

    def acts(self, obs: Array, action: Array) -> Array:
        """The action, and its products with the main directions of the observation."""
        main = self.read(obs) @ self.directions.T
        return np.concatenate((action, (action[:, :, None] * main[:, None, :]).reshape(len(action), -1)), axis=1)


def _answer(moves: Transitions, ruler: _Ruler, action: Array) -> tuple[float, Array]:
    """How much of the change `action` explains beyond the observation, held out; and the response."""
    base = ruler.read(moves.obs)
    change = ruler.read(moves.next_obs) - base
    full = np.concatenate((base, ruler.acts(moves.obs, action)), axis=1)
    return _gain(base, full, change), _fit(full, change)[base.shape[1] : -1]


def _reward_answer(moves: Transitions, ruler: _Ruler) -> float:
    """How much of the reward the action (and its square) explains beyond both observations, held out."""
    base = np.concatenate((ruler.read(moves.obs), ruler.read(moves.next_obs)), axis=1)
    full = np.concatenate((base, moves.action, moves.action**2), axis=1)
    return _gain(base, full, moves.reward[:, None])


def _gain(base: Array, full: Array, target: Array) -> float:
    """Share of the squared error of the fit on `base` that the fit on `full` removes, on the second half."""
    half = len(target) // 2
    errors = []
    for x in (base, full):
        weights = _fit(x[:half], target[:half])
        errors.append(((_with_one(x[half:]) @ weights - target[half:]) ** 2).sum())
    return 1 - errors[1] / errors[0] if errors[0] > 1e-12 * (target**2).sum() else 0.0


def _fit(x: Array, target: Array) -> Array:
    """Ridge regression with a constant, (columns + 1, O)."""
    x = _with_one(x)
    return np.linalg.solve(x.T @ x + 1e-3 * len(x) * np.eye(x.shape[1]), x.T @ target)


def _with_one(x: Array) -> Array:
    return np.concatenate((x, np.ones((len(x), 1))), axis=1)


def _likeness(one: Array, other: Array) -> float:
    norm = np.linalg.norm(one) * np.linalg.norm(other)
    return float((one * other).sum() / norm) if norm > 0 else 0.0
