"""What chooses the actions of a recording: chance, nothing, a stored policy or any object that acts.

# B envs, K steps, A action size
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from wmenv import InputError

GOLDEN = (5**0.5 - 1) / 2


@runtime_checkable
class OpenLoop(Protocol):
    """Actions that do not depend on observations, so that many steps can be sent at once."""

    def actions(self, steps: int) -> NDArray[np.float32]:
        """The next (K, B, A) actions."""
        ...


class ZeroActions:
    """No action at all: zero, or the nearest value in the action box."""

    def __init__(self, low: NDArray[np.float32], high: NDArray[np.float32], num_envs: int) -> None:
        self._action = np.broadcast_to(np.clip(np.float32(0), low, high), (num_envs, len(low)))

    def actions(self, steps: int) -> NDArray[np.float32]:
        """See `OpenLoop`."""
        return np.broadcast_to(self._action, (steps, *self._action.shape)).copy()


class RandomActions:
    """Uniform in the action box; environment i draws from a stream of its own, so B and K change no stream.

    Args:
        low: (A,) lower bounds.
        high: (A,) upper bounds.
        entropy: For each environment the integers from which its stream derives.
        repeat: Steps for which each draw is held; holding moves heavy or swinging bodies further.
    """

    def __init__(
        self, low: NDArray[np.float32], high: NDArray[np.float32], entropy: list[tuple[int, ...]], repeat: int = 1
    ) -> None:
        self._low, self._high, self._repeat = low, high, repeat
        self._streams = [np.random.Generator(np.random.Philox(np.random.SeedSequence(e))) for e in entropy]
        self._held = np.zeros((0, len(entropy), len(low)), np.float32)

    def actions(self, steps: int) -> NDArray[np.float32]:
        """See `OpenLoop`."""
        missing = -(-max(0, steps - len(self._held)) // self._repeat)
        if missing:
            unit = np.stack([s.random((missing, len(self._low)), np.float32) for s in self._streams], axis=1)
            drawn = np.clip(self._low + (self._high - self._low) * unit, self._low, self._high)
            self._held = np.concatenate([self._held, np.repeat(drawn, self._repeat, axis=0)])
        out, self._held = self._held[:steps], self._held[steps:]
        return out.astype(np.float32, copy=False)


class StoredPolicy:
    """A saved policy as an `Actor`: encodes raw observations by its own world model, acts with more or less noise.

    Each episode has a share of the policy's own noise, between none and all of it. A policy is judged by its mean
    actions, and noisy episodes end long before it meets what will end those: there a world model would know nothing.
    The shares spread evenly from the first episode on and are the same for all policies, so that what they record can
    be compared.

    Args:
        path: A policy folder.
        task: The task that it must have been trained for.
        size: Edge of the recorded frames in pixels; None: the state alone is recorded.
        num_envs: B.
        seed: Seed of the noise.

    Raises:
        InputError: The policy is of another task or reads another kind of observation.
        CheckpointError: Its files are missing or damaged.
    """

    def __init__(self, path: Path, *, task: str, size: int | None, num_envs: int, seed: int) -> None:
        from ..policy import Policy
        from ..real_env import RealObserver

        self._policy = Policy.load(path)
        if self._policy.config.task != task:
            raise InputError(
                f"policy: expected one for {task}, got one for {self._policy.config.task}; record its task"
            )
        config = self._policy.model.config
        if config.modality == "frames" and size != config.image_size:
            recorded = "the state alone" if size is None else f"frames of {size}"
            raise InputError(
                f"policy: expected frames of {config.image_size} pixels, which {path} reads, got {recorded}; "
                f"record with obs='frames', size={config.image_size}"
            )
        self.reads: str = config.modality
        self._policy.seed(seed)
        self._episodes = np.full(num_envs, -1)  # index of each environment's present one
        self._observer = RealObserver(self._policy.model, num_envs)
        self._mask = np.zeros(num_envs, bool)

    def reset(self, mask: NDArray[np.bool_]) -> None:
        """See `Actor`."""
        self._mask = mask
        self._policy.reset(mask)

    def act(self, obs: NDArray) -> NDArray:
        """See `Actor`."""
        rows = np.arange(len(obs))
        begin, go_on = rows[self._mask], rows[~self._mask]
        if len(begin):
            self._observer.begin(begin, list(obs[begin]))
            self._episodes[begin] += 1
        if len(go_on):
            self._observer.advance(go_on, list(obs[go_on]))
        latents = self._observer.read(rows)
        mean, sample = self._policy.act(latents), self._policy.act(latents, deterministic=False)
        return mean + self._shares()[:, None] * (sample - mean)

    def _shares(self) -> NDArray[np.float32]:
        """(B,) in [0, 1): over each environment's episodes a golden-ratio sequence, begun evenly apart."""
        begun = np.arange(len(self._episodes)) / len(self._episodes)
        return ((begun + GOLDEN * self._episodes) % 1).astype(np.float32)


def parse_repeat(policy: str) -> int:
    """The number of steps for which "random" (1) or "random:4" (4) holds an action.

    Raises:
        InputError: The part behind the colon is no integer from 1 to 1000.
    """
    _, colon, number = policy.partition(":")
    if not colon:
        return 1
    if not number.isascii() or not number.isdigit() or not 1 <= int(number[:9]) <= 1000:
        raise InputError(f"policy: expected 'random' or 'random:N' with N from 1 to 1000, got {policy!r}")
    return int(number)


def checked_actions(actions: Any, low: NDArray[np.float32], high: NDArray[np.float32], num_envs: int) -> NDArray:
    """What an actor returned as float32 (B, A) inside the action box.

    Raises:
        InputError: Another shape, no numbers, or numbers that are not finite.
    """
    try:
        array = np.asarray(actions, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"policy: expected actions as numbers, got {type(actions).__name__}") from error
    if array.shape != (num_envs, len(low)):
        raise InputError(f"policy: expected actions of shape ({num_envs}, {len(low)}), got {array.shape}")
    if not np.isfinite(array).all():
        raise InputError("policy: expected finite actions, got NaN or infinity")
    return np.clip(array, low, high)
