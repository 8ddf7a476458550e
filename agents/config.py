"""The options of every verb: PPO in dreams, PPO on the real task, the demo; apart, so that the command line is fast."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

from wmenv import InputError, ranges

LEAST_SHARE = 16
"""Real steps that each of several policies needs of a recording which they share."""

DEFAULT_HORIZON = 100
"""Dreams are cut here unless the task's own limit is shorter: drift grows with the length, and a truncated dream
bootstraps from the critic, so that the agent still learns to care about what comes after."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PPOConfig:
    """Hyper-parameters of PPO (Schulman et al. 2017, arXiv:1707.06347).

    Attributes:
        num_envs: Environments stepped together.
        rollout: Steps of each environment between two updates.
        minibatches: Parts into which a rollout is cut; or fewer, so that they are equal.
        epochs: Passes over each rollout.
        learning_rate: Adam's step size at the start.
        final_learning_rate: Its fraction at the end; it falls linearly in between.
        gamma: Discount per step; nearer to 1 where episodes are long and a fall ends them (Hopper: 0.999).
        gae_lambda: Weight of generalised advantage estimation.
        clip_range: Clip of the probability ratio.
        entropy: Weight of the entropy bonus.
        value_weight: Weight of the value loss.
        max_grad_norm: Gradient clip.
        target_kl: Ends an update early beyond 1.5 times this; None for never.
        hidden: Widths of the hidden layers of a new policy.
        activation: Their non-linearity.
        log_std_init: Log standard deviation of a new policy's actions, in units of half their range.
        reward_clip: Rewards are divided by the running deviation of the return and clipped to this.
    """

    num_envs: int = 64
    rollout: int = 32
    minibatches: int = 32
    epochs: int = 10
    learning_rate: float = 3e-4
    final_learning_rate: float = 0.0
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy: float = 0.0
    value_weight: float = 0.5
    max_grad_norm: float = 0.5
    target_kl: float | None = None
    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    log_std_init: float = -0.5
    reward_clip: float = 10.0

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            InputError: A field is out of range.
        """
        for name in ("num_envs", "rollout", "minibatches", "epochs"):
            ranges.check_whole(name, getattr(self, name), 1)
        if self.num_envs * self.rollout < 2:
            raise InputError("rollout: expected num_envs * rollout >= 2, got 1; PPO normalises over a batch")
        for name, low, high in (
            ("learning_rate", 0.0, 1.0),
            ("final_learning_rate", 0.0, 1.0),
            ("gamma", 0.0, 1.0),
            ("gae_lambda", 0.0, 1.0),
            ("clip_range", 1e-6, 1.0),
            ("entropy", 0.0, math.inf),
            ("value_weight", 0.0, math.inf),
            ("max_grad_norm", 1e-12, math.inf),
            ("reward_clip", 1e-12, math.inf),
        ):
            ranges.check_number(name, getattr(self, name), low, high)

    @property
    def batch_size(self) -> int:
        """Transitions in a minibatch: the smallest divisor of a rollout not below rollout / minibatches."""
        total = self.num_envs * self.rollout
        return next(size for size in range(max(total // self.minibatches, 2), total + 1) if total % size == 0)

    def policy_fields(self) -> dict[str, Any]:
        """The fields that shape a new policy."""
        return {"hidden": self.hidden, "activation": self.activation, "log_std_init": self.log_std_init}


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagineConfig(PPOConfig):
    """PPO's hyper-parameters and how the dreams are run.

    Attributes:
        horizon: Steps after which a dream is truncated; None for the task's limit, at most `DEFAULT_HORIZON`.
        denoise_steps: Denoising steps of each dreamed frame; None for the model's own number.
        starts: "any" recorded moment or only "initial" ones.
        device: Where the world model runs: "cpu", "cuda" or "auto".
        verify: End a dream at a step that physics finds impossible; for models that dream states.
    """

    horizon: int | None = None
    denoise_steps: int | None = None
    starts: Literal["any", "initial"] = "any"
    device: str = "auto"
    verify: bool = False

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            InputError: A field is out of range.
        """
        PPOConfig.__post_init__(self)  # dataclass(slots=True) makes a new class, which super() does not know
        for name in ("horizon", "denoise_steps"):
            if getattr(self, name) is not None:
                ranges.check_whole(name, getattr(self, name), 1)
        if self.starts not in ("any", "initial"):
            raise InputError(f"starts: expected 'any' or 'initial', got {self.starts!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoConfig:
    """How much of everything a demo does.

    Attributes:
        task: Id of the task.
        obs: "frames" or "state".
        preset: Size of the world model.
        behaviour: What acts in the first recording: "random", "random:N", "explore" or "zero".
        rounds: How often recording, training and imagining alternate; from the second on the policy itself acts.
        policies: How many are dreamed in each round, see `agents.loop`.
        record_steps: Real steps recorded, all rounds together, to learn the world and to choose between policies.
        heldout_steps: Real steps recorded for measuring it, half of them by the trained policy; never learned from.
        imagine_steps: Steps dreamed by PPO, all rounds together.
        align_updates: Rounds of tuning a copy of the model by physics; 0: none.
        episodes: Real episodes of each evaluation.
        seed: Seed of everything.
    """

    task: str = "wmenv/InvertedPendulum-v0"
    obs: Literal["frames", "state"] = "frames"
    preset: str = "nano"
    behaviour: str = "explore"
    rounds: int = 4
    policies: int = 3
    record_steps: int = 12_000
    heldout_steps: int = 3_000
    imagine_steps: int = 180_000
    align_updates: int = 20
    episodes: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            InputError: A field is out of range.
        """
        for name in ("rounds", "policies", "record_steps", "heldout_steps", "imagine_steps", "episodes"):
            ranges.check_whole(name, getattr(self, name), 2 if name == "heldout_steps" else 1)
        ranges.check_whole("align_updates", self.align_updates, 0)
        least = {
            "record_steps": self.num_recordings * self.policies * LEAST_SHARE,
            "imagine_steps": self.rounds * self.policies,
        }
        for name, steps in least.items():
            if getattr(self, name) < steps:
                whose = f"{self.rounds} rounds and {self.policies} policies"
                raise InputError(f"{name}: expected at least {steps} for {whose}, got {getattr(self, name)}")

    @property
    def num_recordings(self) -> int:
        """One for each round, and one after the last where there is somebody to choose between."""
        return self.rounds + (self.rounds > 1 or self.policies > 1)

    @property
    def each_record_steps(self) -> int:
        """Real steps of each recording."""
        return self.record_steps // self.num_recordings

    @property
    def each_imagine_steps(self) -> int:
        """Dreamed steps of each round and policy."""
        return self.imagine_steps // (self.rounds * self.policies)


REAL_PPO = PPOConfig(num_envs=8, rollout=256, minibatches=32, epochs=10, learning_rate=3e-4)
"""For the real task: SB3's own defaults (2,048 steps an update, batches of 64, 10 epochs), over 8 environments."""

Config = TypeVar("Config", bound=PPOConfig)


def with_options(config: Config, options: Mapping[str, Any]) -> Config:
    """`config` with some fields replaced.

    Raises:
        InputError: An option is no field of it, or out of range.
    """
    names = [field.name for field in fields(config)]
    for name in options:
        if name not in names:
            raise InputError(f"{name}: expected one of {', '.join(names)}, got an unknown option")
    return replace(config, **options)


def command_options(config: PPOConfig) -> str:
    """The options of the command line that make `config` out of its kind's defaults, a space before each."""
    options = []
    for field in fields(config):
        value, name = getattr(config, field.name), field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            options.append(f" --{'' if value else 'no-'}{name}")
        else:
            options.append(f" --{name} {' '.join(map(str, value)) if isinstance(value, tuple) else value}")
    return "".join(options)
