"""What a world model is made for and made of; stored as config.json beside its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .errors import CheckpointError

FORMAT = "wmenv-world-model/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldModelConfig:
    """The task's interface and the network's sizes.

    Attributes:
        task: Gymnasium id of the real task.
        modality: "frames" or "state", what the model saw.
        fps: control steps per second of simulated time.
        image_size: edge of the square frames in pixels, None for a state model.
        state_names, state_low, state_high: each state coordinate's name with unit and the range it was recorded in.
        state_slots: place of each state coordinate in the flattened token, empty for a frame model.
        action_low, action_high: the task's action box, in its own units.
        max_episode_steps: the task's time limit, None when it has none.
        history: H, latents in a latent observation.
        num_tokens, token_dim: N and C of a latent frame.
        vae_width, grid: of the frame tokenizer; grid is 0 for a state model.
        width, depth, heads, window: of the dynamics.
        head_width: of the reward and termination heads.
        denoise_steps: default steps of the sampler.
        num_starts: recorded contexts to begin a dream from.
    """

    task: str
    modality: str
    fps: float
    image_size: int | None
    state_names: tuple[str, ...]
    state_low: tuple[float, ...]
    state_high: tuple[float, ...]
    state_slots: tuple[int, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    max_episode_steps: int | None
    history: int
    num_tokens: int
    token_dim: int
    vae_width: int
    grid: int
    width: int
    depth: int
    heads: int
    window: int
    head_width: int
    denoise_steps: int
    num_starts: int

    def __post_init__(self) -> None:
        for name in ("state_names", "state_low", "state_high", "state_slots", "action_low", "action_high"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.modality not in ("frames", "state"):
            raise CheckpointError(f"modality: expected 'frames' or 'state', got {self.modality!r}; train again")
        for name in ("history", "num_tokens", "token_dim", "width", "depth", "heads", "window", "head_width"):
            self._whole(name, 1, 65_536)
        self._whole("denoise_steps", 1, 1000)
        self._whole("num_starts", 1, 1_000_000)
        self._whole("vae_width", 0, 65_536)
        self._whole("grid", 0, 256)
        for name in ("state_low", "state_high", "action_low", "action_high"):
            if not all(isinstance(x, int | float) and math.isfinite(x) for x in getattr(self, name)):
                raise CheckpointError(f"{name}: expected finite numbers, got {getattr(self, name)}; train again")
        if not 1 <= len(self.action_low) == len(self.action_high):
            raise CheckpointError("action_low, action_high: expected two bounds for each action; train again")
        if not len(self.state_names) == len(self.state_low) == len(self.state_high):
            raise CheckpointError("state_names, state_low, state_high: expected equal lengths; train again")
        if self.history > self.window:
            raise CheckpointError(f"history: expected at most window = {self.window}, got {self.history}; train again")

    def _whole(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if type(value) is not int or not low <= value <= high:
            raise CheckpointError(f"{name}: expected an integer from {low} to {high}, got {value!r}; train again")

    @property
    def action_dim(self) -> int:
        """A, numbers in an action."""
        return len(self.action_low)

    @property
    def state_dim(self) -> int:
        """S, numbers in the task's state."""
        return len(self.state_names)

    @property
    def latent_dim(self) -> int:
        """Numbers in a latent observation, H * N * C."""
        return self.history * self.num_tokens * self.token_dim

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WorldModelConfig:
        """From JSON values.

        Raises:
            CheckpointError: a field is missing, unknown or out of range.
        """
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            found = values.get("format") if isinstance(values, Mapping) else type(values).__name__
            raise CheckpointError(f"format: expected {FORMAT!r}, got {found!r}; is this folder a wmenv model?")
        known = {f.name for f in fields(cls)}
        given = set(values) - {"format", "weights_sha256"}
        if given != known:
            raise CheckpointError(f"config: missing {sorted(known - given)}, unknown {sorted(given - known)}; retrain")
        try:
            return cls(**{name: values[name] for name in known})
        except TypeError as error:
            raise CheckpointError(f"config: a field has the wrong type ({error}); restore config.json") from error
