"""What a world model is made for and made of; stored as config.json beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .errors import CheckpointError

FORMAT = "wmenv-world-model/3"
METHODS = ("consistency", "self_forcing", "flow_map")  # of `wmenv.distill`


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
        distilled: the methods of `wmenv.distill` that made the dynamics, in order; none for a model as it was trained.
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
    distilled: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("state_names", "state_low", "state_high", "state_slots", "action_low", "action_high", "distilled"):
            value = getattr(self, name)
            self._check(name, isinstance(value, list | tuple), "a list")
            object.__setattr__(self, name, tuple(value))
        self._check("task", isinstance(self.task, str) and 0 < len(self.task) <= 256, "a Gymnasium id")
        self._check("modality", self.modality in ("frames", "state"), "'frames' or 'state'")
        self._check("fps", _is_number(self.fps) and 0 < self.fps <= 1e6, "a number in (0, 1e6]")
        for name in ("num_tokens", "token_dim", "width", "heads", "head_width"):
            self._whole(name, 1, 65_536)
        for name, low, high in (("depth", 1, 1024), ("window", 1, 4096), ("history", 1, self.window)):
            self._whole(name, low, high)
        self._whole("denoise_steps", 1, 1000)
        self._whole("num_starts", 1, 1_000_000)
        self._check("distilled", all(name in METHODS for name in self.distilled), f"names of {METHODS}")
        if self.max_episode_steps is not None:
            self._whole("max_episode_steps", 1, 2**53)
        for name in ("state_low", "state_high", "action_low", "action_high"):
            self._check(name, all(map(_is_number, getattr(self, name))), "finite numbers")
        self._check("state_names", all(isinstance(n, str) for n in self.state_names), "strings")
        self._check("action_low", len(self.action_low) >= 1, "a bound for each action")
        for low, high in (("state_low", "state_high"), ("action_low", "action_high")):
            pairs = list(zip(getattr(self, low), getattr(self, high), strict=False))
            self._check(high, len(getattr(self, low)) == len(getattr(self, high)), f"as many numbers as {low}")
            self._check(high, all(a <= b for a, b in pairs), f"no number below {low}")
        self._check(
            "action_high", all(a < b for a, b in zip(self.action_low, self.action_high, strict=True)), "low < high"
        )
        self._check("state_low", len(self.state_low) == len(self.state_names), "a bound for each of state_names")
        self._frames() if self.modality == "frames" else self._state()

    def _frames(self) -> None:
        self._whole("image_size", 16, 4096)
        self._whole("vae_width", 1, 65_536)
        self._whole("grid", 1, 256)
        self._check("state_slots", not self.state_slots, "none for a frame model")
        self._check("num_tokens", self.num_tokens == self.grid**2, f"grid * grid = {self.grid**2}")

    def _state(self) -> None:
        for name, expected in (("image_size", None), ("vae_width", 0), ("grid", 0)):
            self._check(name, getattr(self, name) == expected, f"{expected} for a state model")
        places = range(self.num_tokens * self.token_dim)
        known = all(type(slot) is int and slot in places for slot in self.state_slots)
        fits = known and len(set(self.state_slots)) == len(self.state_slots) == len(self.state_names)
        self._check("state_slots", fits, f"a place of its own below {len(places)} for each coordinate")

    def _whole(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        self._check(name, type(value) is int and low <= value <= high, f"an integer from {low} to {high}")

    def _check(self, name: str, condition: bool, expected: str) -> None:
        if not condition:
            found = repr(getattr(self, name))
            found = found if len(found) <= 80 else f"{found[:80]}..."
            raise CheckpointError(f"{name}: expected {expected}, got {found}; restore config.json or train again")

    @property
    def action_dim(self) -> int:
        """A, numbers in an action."""
        return len(self.action_low)

    @property
    def any_step(self) -> bool:
        """Whether the dynamics reads how far it is to jump."""
        return "flow_map" in self.distilled

    @property
    def state_dim(self) -> int:
        """S, numbers in the task's state."""
        return len(self.state_names)

    @property
    def latent_dim(self) -> int:
        """Numbers in a latent observation, H * N * C."""
        return self.history * self.num_tokens * self.token_dim

    def least_numbers(self) -> int:
        """A lower bound of the numbers that the model holds, from its largest layers."""
        latent = self.num_tokens * self.token_dim
        starts = self.num_starts * self.window * (latent + self.action_dim)
        network = self.width * (self.depth * self.width + self.token_dim) + self.head_width * (self.head_width + latent)
        size = self.image_size or 0
        return starts + network + 3 * size**2 + 32 * self.vae_width**2 + 4 * self.vae_width * (size // 16) ** 2 * latent

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; what a model as it was trained does not have is left out, as before there was any other."""
        values = {"format": FORMAT, **asdict(self)}
        return values if self.distilled else {n: v for n, v in values.items() if n != "distilled"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WorldModelConfig:
        """From JSON values.

        Raises:
            CheckpointError: a field is missing, unknown or out of range.
        """
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            found = values.get("format") if isinstance(values, Mapping) else type(values).__name__
            raise CheckpointError(
                f"format: expected {FORMAT!r}, got {found!r}; is this a wmenv model? older ones are trained again"
            )
        known = {f.name for f in fields(cls)}
        given = set(values) - {"format", "weights_sha256"}
        missing = known - given - {"distilled"}
        if missing or given - known:
            raise CheckpointError(f"config: missing {sorted(missing)}, unknown {sorted(given - known)}; retrain")
        return cls(**{name: values[name] for name in known & given})


def _is_number(value: object) -> bool:
    """Whether it fits float32 with room to spare; NaN and infinity do not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e38 < value < 1e38
