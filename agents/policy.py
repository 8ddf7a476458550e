"""A trained agent on disk and in memory: SB3's actor-critic network without SB3's pickle.

A policy folder holds `config.json`, `policy.safetensors` and `model/`, a copy of the world model whose latents the
policy reads, so that a policy alone is enough to act on the real task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from wmenv import CheckpointError, InputError

from . import policy_files

if TYPE_CHECKING:
    from wmenv import WorldModel

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU, "silu": nn.SiLU}

NO_RETURNS = (0.0, 1.0, 1e-4)  # of SB3's VecNormalize before its first step


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyConfig:
    """What rebuilds the network, and where it came from.

    Attributes:
        task: Id of the task whose observations and actions these are.
        observation_dim: Length O of an observation (latent units).
        observation_bound: Observations lie in [-bound, bound].
        action_low: Lower bound of each action, in the task's own unit.
        action_high: Upper bound of each action, in the task's own unit.
        hidden: Widths of the hidden layers, the same for actor and critic.
        activation: One of `ACTIVATIONS`.
        log_std_init: Initial log standard deviation of an action, in units of half its range.
        steps: Environment steps that the policy was trained for.
        trained_on: "dream" or "real".
        seed: Seed of the training.
        returns: Mean, variance and number of the discounted returns that it has learned from. PPO divides rewards by
            their deviation, and what the critic foretells is in that unit: training goes on with it.
    """

    task: str
    observation_dim: int
    observation_bound: float
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    log_std_init: float = -0.5
    steps: int = 0
    trained_on: str = "dream"
    seed: int = 0
    returns: tuple[float, float, float] = NO_RETURNS

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            InputError: A field has the wrong type or range.
        """
        low, high = self.action_low, self.action_high
        for name, good, expected in (
            ("task", isinstance(self.task, str) and bool(self.task), "a task id"),
            ("observation_dim", _is_int(self.observation_dim, 1), "a positive integer"),
            ("observation_bound", _is_number(self.observation_bound) and self.observation_bound > 0, "a number > 0"),
            ("action_low", _are_numbers(low), "a tuple of finite numbers"),
            ("action_high", _are_numbers(high) and len(low) == len(high), f"{len(low)} finite numbers"),
            ("hidden", isinstance(self.hidden, tuple) and all(_is_int(n, 1) for n in self.hidden), "layer widths >= 1"),
            ("activation", self.activation in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}"),
            ("log_std_init", _is_number(self.log_std_init), "a finite number"),
            ("steps", _is_int(self.steps, 0), "an integer >= 0"),
            ("trained_on", self.trained_on in ("dream", "real"), "'dream' or 'real'"),
            ("seed", _is_int(self.seed, 0), "an integer >= 0"),
            ("returns", _are_moments(self.returns), "a finite mean, a variance >= 0 and a number above 0"),
        ):
            if not good:
                raise InputError(f"{name}: expected {expected}, got {getattr(self, name)!r}")
        if not all(a < b for a, b in zip(low, high, strict=True)):
            raise InputError(f"action_high: expected each above action_low {low}, got {high}")

    @property
    def action_dim(self) -> int:
        """Number A of action coordinates."""
        return len(self.action_low)

    @property
    def observation_space(self) -> spaces.Box:
        """The latent observation, (O,) float32."""
        return spaces.Box(-self.observation_bound, self.observation_bound, (self.observation_dim,), np.float32)

    @property
    def network_action_space(self) -> spaces.Box:
        """What the network puts out: every action scaled to [-1, 1]."""
        return spaces.Box(-1.0, 1.0, (self.action_dim,), np.float32)


class Policy:
    """A Gaussian actor and a critic over latent observations.

    Example:
        >>> policy = Policy.load("runs/demo/policy")  # doctest: +SKIP
        >>> actions = policy.act(latents)  # doctest: +SKIP
    """

    def __init__(self, config: PolicyConfig, *, model: WorldModel | None = None, seed: int = 0) -> None:
        """Builds a fresh network.

        Args:
            config: Its shape and spaces.
            model: The world model whose latents the policy reads; None if it is never to be saved with one.
            seed: Seed of the initial weights and of `act(deterministic=False)`.
        """
        self.config = config
        self._model = model
        self._folder: Path | None = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = ActorCriticPolicy(
                config.observation_space,
                config.network_action_space,
                lambda _: 3e-4,
                **network_options(config),
            )
        self.network.set_training_mode(False)
        self._generator = torch.Generator().manual_seed(seed)

    @cached_property
    def _scale(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        low, high = (np.asarray(x, np.float32) for x in (self.config.action_low, self.config.action_high))
        return ((low + high) / 2).astype(np.float32), ((high - low) / 2).astype(np.float32)

    @property
    def model(self) -> WorldModel:
        """The world model whose latents the policy reads; read from the folder on first use.

        Raises:
            CheckpointError: The policy has none, or its copy is damaged.
        """
        if self._model is None:
            if self._folder is None:
                raise CheckpointError("model: expected a policy with a world model, got one without; give model=")
            from wmenv import WorldModel

            self._model = WorldModel.from_pretrained(policy_files.model_folder(self._folder))
        return self._model

    def reset(self, mask: ArrayLike | None = None) -> None:
        """Says which environments (B,) bool begin an episode. A policy without memory has nothing to forget."""

    def seed(self, seed: int) -> None:
        """Seeds the noise of `act(deterministic=False)`."""
        self._generator.manual_seed(seed)

    @torch.no_grad()
    def translate(self, gain: Tensor, shift: Tensor) -> None:
        """Make the network act on new latents as it did on old ones, old = gain * new + shift, each (N, C)."""
        frames = self.config.observation_dim // gain.numel()
        gain, shift = gain.flatten().repeat(frames), shift.flatten().repeat(frames)
        extractor = self.network.mlp_extractor
        for hidden, last in (
            (extractor.policy_net, self.network.action_net),
            (extractor.value_net, self.network.value_net),
        ):
            first = hidden[0] if len(hidden) else last
            first.bias.add_(first.weight @ shift)
            first.weight.mul_(gain)

    def reading(self, model: WorldModel) -> Policy:
        """This policy for the latents of `model`: itself where they are its own, else a copy that is translated.

        Raises:
            InputError: The latents of `model` have another size, or nothing in common with those that it learned from.
        """
        if self._model is model or (self._model is None and self._folder is None):
            return self
        c = model.config
        if c.history * c.num_tokens * c.token_dim != self.config.observation_dim:
            raise InputError(
                f"model: expected latent observations of {self.config.observation_dim} numbers, as the policy reads, "
                f"got {c.history} x {c.num_tokens} x {c.token_dim}; give the model that it was trained with"
            )
        gain, shift = model.latents_of(self.model)
        copy = Policy(self.config, model=model)
        copy.network.load_state_dict(self.network.state_dict())
        copy.translate(gain, shift)
        return copy

    @torch.no_grad()
    def act(self, obs: NDArray[np.float32] | Tensor, deterministic: bool = True) -> NDArray[np.float32]:
        """Chooses one action for each observation.

        Args:
            obs: (B, O) float32 latent observations.
            deterministic: The mean action if True, else a sample from the policy's own generator.

        Returns:
            (B, A) float32 actions inside the task's bounds, in the task's own unit.

        Raises:
            InputError: `obs` has another shape or is not finite.
        """
        tensor = torch.as_tensor(obs).detach().to("cpu", torch.float32)
        if tensor.ndim != 2 or tensor.shape[1] != self.config.observation_dim:
            raise InputError(f"obs: expected shape (B, {self.config.observation_dim}), got {tuple(tensor.shape)}")
        if not torch.isfinite(tensor).all():
            raise InputError("obs: expected finite numbers, got NaN or infinity; check the encoder's input")
        network = self.network
        action = network.action_net(network.mlp_extractor.forward_actor(tensor))
        if not deterministic:
            action = action + network.log_std.exp() * torch.randn(action.shape, generator=self._generator)
        return self.to_task_units(action.clamp(-1.0, 1.0).numpy())

    def to_task_units(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions (B, A) from [-1, 1] to the task's own unit."""
        centre, half = self._scale
        return (centre + half * action).astype(np.float32)

    def save(self, folder: str | Path, *, steps: int | None = None) -> Path:
        """Writes the policy; a kill at any moment leaves the old or the new one readable.

        Args:
            folder: Made if missing. An older policy in it is replaced; other files stay.
            steps: Training steps to note in the config instead of those it has.

        Returns:
            The folder.

        Raises:
            CheckpointError: The policy has no world model to store beside it.
            OSError: The disk is full or read-only; the old policy is still there.
        """
        folder = Path(folder)
        if steps is not None:
            self.config = replace(self.config, steps=steps)
        elsewhere = self._folder is None or folder.resolve() != self._folder.resolve()
        model = self.model if elsewhere else None
        policy_files.write(folder, asdict(self.config), self.network.state_dict(), model)
        self._folder = folder
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Policy:
        """Reads a policy folder. Nothing in it is executed.

        Args:
            folder: What `save` wrote.

        Returns:
            The policy; its world model is read when first used.

        Raises:
            CheckpointError: A file is missing, damaged or of another kind; the message names it.
        """
        folder = Path(folder)
        record, tensors = policy_files.read(folder)
        config_file = folder / policy_files.CONFIG_NAME
        try:
            policy = cls(_config_from(record))
        except (InputError, TypeError) as error:
            raise CheckpointError(f"{config_file}: {error}; record the policy again") from error
        try:
            policy.network.load_state_dict(dict(tensors))
        except RuntimeError as error:
            raise CheckpointError(
                f"{folder / policy_files.WEIGHTS_NAME}: its tensors do not fit {config_file}"
            ) from error
        policy._folder = folder
        return policy


def network_options(config: PolicyConfig) -> dict[str, Any]:
    """The `policy_kwargs` with which SB3 builds this network."""
    return {
        "net_arch": {"pi": list(config.hidden), "vf": list(config.hidden)},
        "activation_fn": ACTIVATIONS[config.activation],
        "log_std_init": config.log_std_init,
    }


def _config_from(record: Mapping[str, Any]) -> PolicyConfig:
    names = {field.name for field in fields(PolicyConfig)}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items() if k in names}
    return PolicyConfig(**values)


def _is_int(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _are_numbers(values: object) -> bool:
    return isinstance(values, tuple) and len(values) > 0 and all(map(_is_number, values))


def _are_moments(value: object) -> bool:
    return _are_numbers(value) and len(value) == 3 and value[1] >= 0 and value[2] > 0  # type: ignore
