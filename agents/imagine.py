"""Learning to act inside a world model: PPO whose every step is dreamed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmenv import InputError, envs, ranges, types

from .callbacks import ProgressCallback, StepCounter, VerdictCallback, make_writers
from .config import DEFAULT_HORIZON, ImagineConfig, PPOConfig, with_options
from .policy import Policy, PolicyConfig
from .ppo import learn
from .progress import Progress

if TYPE_CHECKING:
    from physics import DreamVerifier
    from wmenv import WorldModel


def imagine(
    model: WorldModel | str | Path,
    steps: int,
    out: str | Path,
    *,
    config: ImagineConfig | None = None,
    seed: int = 0,
    init: Policy | str | Path | None = None,
    tensorboard: bool = False,
    wandb: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Policy:
    """Trains a policy in dreams only and stores it.

    Args:
        model: A world model or its folder.
        steps: Dreamed steps, rounded up to whole rollouts.
        out: Folder of the policy: config.json, policy.safetensors, model/ and metrics.jsonl.
        config: Hyper-parameters; None for the defaults.
        seed: Seed of weights, dreams, action noise and minibatches.
        init: A policy to start from; its network shape is kept.
        tensorboard: Also write TensorBoard events.
        wandb: Also log to Weights & Biases (offline by default).
        progress: Told how far it is.
        **options: Single fields of `config`, such as num_envs=128 or horizon=100.

    Returns:
        The policy, already saved in `out`.

    Raises:
        InputError: An argument is out of range, or `init` fits another model.
        TrainingError: A dreamed reward or a weight is not finite; the last good update is saved in `out`.
        KeyboardInterrupt: After saving the last good update in `out`.
    """
    config = with_options(config or ImagineConfig(), options)
    model = load_model(model, config.device)
    from .vec_env import DreamVecEnv

    policy = start_policy(model, config, seed=seed, init=init, trained_on="dream")
    judged = {"verifier": make_verifier(model)} if config.verify else {}
    env = DreamVecEnv(model, config.num_envs, **dream_options(model, config), **judged)
    return train_policy(
        policy, env, steps, out, config, seed=seed, tensorboard=tensorboard, wandb=wandb, progress=progress
    )


def train_policy(
    policy: Policy,
    env: Any,
    steps: int,
    out: str | Path,
    config: PPOConfig,
    *,
    seed: int = 0,
    tensorboard: bool = False,
    wandb: bool = False,
    progress: Progress | None = None,
) -> Policy:
    """Runs PPO on `env` and stores the policy whatever happens; see `imagine` for the arguments and errors."""
    ranges.check_whole("steps", steps, 1)
    before = policy.config.steps
    told = {"seed": seed, "steps": steps, **asdict(config)}
    writers = make_writers(out, told, tensorboard=tensorboard, wandb=wandb, before=before)
    policy.save(out)  # what lay in `out` is replaced only now that the arguments are known to be good
    counter = StepCounter()
    callbacks = [counter, VerdictCallback(), *([ProgressCallback(progress, steps)] if progress else [])]
    try:
        learn(policy, env, steps, config, seed=seed, writers=writers, callbacks=callbacks)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped after {counter.steps} steps; the policy so far is in {out}") from None
    finally:
        policy.save(out, steps=before + counter.steps)
        for writer in writers:
            writer.close()
    return policy


def start_policy(
    model: WorldModel, config: PPOConfig, *, seed: int, init: Policy | str | Path | None, trained_on: str
) -> Policy:
    """A new policy for `model`, with the weights of `init` if given.

    Raises:
        InputError: `init` reads observations or acts in a space of another size.
    """
    c = model.config
    spaces: dict[str, Any] = {
        "task": c.task,
        "observation_dim": c.history * c.num_tokens * c.token_dim,
        "observation_bound": float(types.LATENT_BOUND),
        "action_low": tuple(map(float, c.action_low)),
        "action_high": tuple(map(float, c.action_high)),
        "trained_on": trained_on,
        "seed": seed,
    }
    if init is None:
        return Policy(PolicyConfig(**spaces, **config.policy_fields()), model=model, seed=seed)
    old = init if isinstance(init, Policy) else Policy.load(init)
    for name in ("observation_dim", "action_low", "action_high"):
        if getattr(old.config, name) != spaces[name]:
            raise InputError(
                f"init: expected a policy with {name} {spaces[name]} as the model has, "
                f"got {getattr(old.config, name)}; leave init out to start afresh"
            )
    shape: dict[str, Any] = {name: getattr(old.config, name) for name in config.policy_fields()}
    shape |= {"steps": old.config.steps, "returns": old.config.returns}
    policy = Policy(PolicyConfig(**spaces, **shape), model=model, seed=seed)
    policy.network.load_state_dict(old.network.state_dict())
    policy.translate(*model.latents_of(old.model))
    return policy


def dream_options(model: WorldModel, config: ImagineConfig) -> dict[str, Any]:
    """The keyword arguments of the dream environments."""
    limit = model.config.max_episode_steps
    horizon = config.horizon or min(limit or DEFAULT_HORIZON, DEFAULT_HORIZON)
    return {"horizon": horizon, "steps": config.denoise_steps, "starts": config.starts, "device": config.device}


def make_verifier(model: WorldModel) -> DreamVerifier:
    """What judges the steps of the model's dreams.

    Raises:
        InputError: The model dreams frames.
        TaskError: `physics` does not know the model's task.
    """
    check_verifiable(model.config.modality)
    from physics import DreamVerifier

    return DreamVerifier(model.config.task)


def check_verifiable(modality: str) -> None:
    """Refuses what no verifier reads.

    Raises:
        InputError: These are not states.
    """
    if modality != "state":
        raise InputError(
            f"verify: expected a model that dreams states, got one of {modality}; "
            "pictures do not tell velocities, so leave verify out"
        )


def check_network(config: PPOConfig) -> None:
    """Refuses a network that no policy could have, before there is a model to have it for.

    Raises:
        InputError: `hidden`, `activation` or `log_std_init` is out of range.
    """
    some: dict[str, Any] = {"task": "any", "observation_dim": 1, "observation_bound": 1.0}
    PolicyConfig(**some, action_low=(-1.0,), action_high=(1.0,), **config.policy_fields())


def load_model(model: WorldModel | str | Path, device: str = "auto") -> WorldModel:
    """`model` itself, or read from its folder onto `device`; "auto" is the GPU when there is one.

    Raises:
        InputError: The device is unknown or missing.
        CheckpointError: The folder holds no sound model.
    """
    if isinstance(model, (str, Path)):
        return envs.resolve_model(model, device)
    return model
