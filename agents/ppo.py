"""The one place that runs SB3's PPO: the same code learns in dreams and, as a baseline, on the real task."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize

from wmenv.errors import InputError, TrainingError

from .policy import Policy, network_options
from .training_env import GuardedVecEnv, torch_threads


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
        gamma: Discount per step.
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

    num_envs: int = 128
    rollout: int = 32
    minibatches: int = 4
    epochs: int = 5
    learning_rate: float = 5e-4
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
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name}: expected an integer >= 1, got {value!r}")
        if self.num_envs * self.rollout < 2:
            raise InputError("rollout: expected num_envs * rollout >= 2, got 1; PPO normalises over a batch")
        for name, low, high in (
            ("learning_rate", 0.0, 1.0),
            ("final_learning_rate", 0.0, 1.0),
            ("gamma", 0.0, 1.0),
            ("gae_lambda", 0.0, 1.0),
            ("clip_range", 1e-6, 1.0),
            ("entropy", 0.0, np.inf),
            ("value_weight", 0.0, np.inf),
            ("max_grad_norm", 1e-12, np.inf),
            ("reward_clip", 1e-12, np.inf),
        ):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name}: expected a number in [{low}, {high}], got {getattr(self, name)!r}")

    @property
    def batch_size(self) -> int:
        """Transitions in a minibatch: the smallest divisor of a rollout not below rollout / minibatches."""
        total = self.num_envs * self.rollout
        return next(size for size in range(max(total // self.minibatches, 2), total + 1) if total % size == 0)

    def policy_fields(self) -> dict[str, object]:
        """The fields that shape a new policy."""
        return {"hidden": self.hidden, "activation": self.activation, "log_std_init": self.log_std_init}


def learn(
    policy: Policy,
    env: VecEnv,
    steps: int,
    config: PPOConfig,
    *,
    seed: int,
    writers: Sequence[KVWriter] = (),
    callbacks: Sequence[BaseCallback] = (),
) -> int:
    """Improves `policy` in place by PPO.

    Args:
        policy: Starts from these weights; after an interrupt or an error it holds the last complete update.
        env: SB3 vector environment over the policy's observations, actions in the task's own unit. Closed at the end.
        steps: At least this many environment steps; PPO ends with a whole rollout.
        config: Hyper-parameters.
        seed: Seed of the environments, the action noise and the minibatches. The global generators of numpy, torch
            and random, which SB3 draws from, are put back afterwards.
        writers: Where SB3's logger writes a row per rollout.
        callbacks: SB3 callbacks.

    Returns:
        Steps done.

    Raises:
        InputError: `steps` is no positive integer or the spaces differ from the policy's.
        TrainingError: A reward, an observation or a weight is not finite.
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise InputError(f"steps: expected an integer >= 1, got {steps!r}")
    guarded = GuardedVecEnv(VecMonitor(env), policy.config, env_threads=torch.get_num_threads())
    normalised = VecNormalize(guarded, norm_obs=False, gamma=config.gamma, clip_reward=config.reward_clip)
    with _global_seeds_restored(), torch_threads(1):
        ppo = PPO(
            "MlpPolicy",
            normalised,
            learning_rate=lambda left: (
                config.learning_rate * (config.final_learning_rate + (1 - config.final_learning_rate) * left)
            ),
            n_steps=config.rollout,
            batch_size=config.batch_size,
            n_epochs=config.epochs,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip_range,
            ent_coef=config.entropy,
            vf_coef=config.value_weight,
            max_grad_norm=config.max_grad_norm,
            target_kl=config.target_kl,
            policy_kwargs=network_options(policy.config),
            seed=seed,
            device="cpu",
        )
        ppo.policy.load_state_dict(policy.network.state_dict())
        ppo.set_logger(Logger(folder=None, output_formats=list(writers)))
        try:
            ppo.learn(steps, callback=[_KeepWeights(policy), *callbacks])
        finally:
            normalised.close()
    return int(ppo.num_timesteps)


class _KeepWeights(BaseCallback):
    """Copies the network into the policy after each whole update, unless it is broken."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._kept = policy

    def _on_rollout_start(self) -> None:
        self._keep()

    def _on_training_end(self) -> None:
        self._keep()

    def _on_step(self) -> bool:
        return True

    def _keep(self) -> None:
        weights = self.model.policy.state_dict()
        broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
        if broken:
            raise TrainingError(
                f"policy: expected finite weights, got NaN in {broken[0]} after {self.num_timesteps} steps; "
                "the last good update is kept; lower learning_rate"
            )
        self._kept.network.load_state_dict(weights)


@contextmanager
def _global_seeds_restored() -> Iterator[None]:
    """SB3 seeds and draws from the global generators; the caller's streams go on as if it had not."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


Config = TypeVar("Config", bound=PPOConfig)


def with_options(config: Config, options: Mapping[str, object]) -> Config:
    """`config` with some fields replaced.

    Raises:
        InputError: An option is no field of it, or out of range.
    """
    names = [field.name for field in fields(config)]
    for name in options:
        if name not in names:
            raise InputError(f"{name}: expected one of {', '.join(names)}, got an unknown option")
    return replace(config, **options)
