"""Measures what the environment costs on top of the world model: a bare loop of model steps against the vector env.

`python -m benchmarks.wrapper` writes benchmarks/wrapper.json. Both sides run in turn in one process, and a fiftieth
of the rows is reset in every step (a tenth in one column); the weights are random, since time does not depend on them.
On a CPU the clock is processor time, which a busy machine does not stretch.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
import torch

from agents import SB3VecEnv
from wmenv.config import WorldModelConfig
from wmenv.envs import DreamVectorEnv
from wmenv.presets import preset_named
from wmenv.random import normal
from wmenv.tokenizers import group_slots
from wmenv.world_model import WorldModel

from .common import in_turn, write

TARGET = 0.10  # of the model's time
STATE_DIM = ACTION_DIM = 6


def untrained_model(preset: str, modality: str, *, starts: int = 256) -> WorldModel:
    """A world model of a preset's sizes with random weights and contexts."""
    p, frames = preset_named(preset), modality == "frames"
    slots, tokens, channels = ([], p.grid**2, p.token_dim) if frames else group_slots(range(STATE_DIM), p.max_tokens)
    config = WorldModelConfig(
        task="untrained",
        modality=modality,
        fps=50.0,
        image_size=64 if frames else None,
        state_names=tuple(f"s{i}" for i in range(STATE_DIM)),
        state_low=(-10.0,) * STATE_DIM,
        state_high=(10.0,) * STATE_DIM,
        state_slots=tuple(slots),
        action_low=(-1.0,) * ACTION_DIM,
        action_high=(1.0,) * ACTION_DIM,
        max_episode_steps=50,
        history=p.history_frames if frames else p.history_state,
        num_tokens=tokens,
        token_dim=channels,
        vae_width=p.vae_width if frames else 0,
        grid=p.grid if frames else 0,
        width=p.width,
        depth=p.depth,
        heads=p.heads,
        window=p.window_frames if frames else p.window_state,
        head_width=p.head_width,
        denoise_steps=p.denoise_steps,
        num_starts=starts,
    )
    torch.manual_seed(0)
    model = WorldModel(config).eval().requires_grad_(False)
    shape = (starts, model.context)
    model.set_starts(
        torch.randn(*shape, tokens, channels),
        torch.zeros(*shape, ACTION_DIM),
        torch.ones(shape).bool(),
        torch.ones(starts),
    )
    model.heads.termination[-1].bias.fill_(-100.0)  # so that the horizon alone says how many rows are reset
    return model


def staggered(model: WorldModel, num_envs: int, horizon: int) -> DreamVectorEnv:
    """A vector of dreams of which one in `horizon` ends in every step."""
    envs = DreamVectorEnv(model, num_envs, horizon=horizon)
    envs.reset(seed=0)
    snapshot = envs.save_state()
    elapsed = torch.arange(num_envs, device=envs.device) % horizon
    envs.load_state(snapshot._replace(core=snapshot.core._replace(elapsed=elapsed)))
    return envs


def measure(preset: str, modality: str, num_envs: int, *, rounds: int, device: str) -> dict[str, str | float | int]:
    """One row: the model alone, the vector environment, SB3's adapter over it, and the noise by itself."""
    model = untrained_model(preset, modality).to(device)
    envs, sb3 = staggered(model, num_envs, 50), SB3VecEnv(staggered(model, num_envs, 50))
    short = staggered(model, num_envs, 10)
    index = torch.arange(num_envs, device=device)
    state = [model.start(index % model.num_starts)]
    shape = (model.config.denoise_steps, *model.latent_shape)
    action = np.zeros((num_envs, ACTION_DIM), np.float32)
    noise, push = normal(index, index, shape), torch.from_numpy(action).to(device)

    def bare() -> None:
        out = model.step(state[0], push, noise, consume=True)  # in place, as the environment does
        state[0] = out.state
        out.reward.cpu()  # so that a GPU's work is done when the clock is read

    sides = {
        "model": bare,
        "vector_env": lambda: envs.step(action),
        "short_episodes": lambda: short.step(action),
        "sb3_vec_env": lambda: sb3.step(action),
        "noise": lambda: normal(index, index, shape).sum().item(),
    }
    clock = time.process_time if device == "cpu" else time.perf_counter
    ms = {name: median(times) for name, times in in_turn(sides, rounds=rounds, calls=10, clock=clock).items()}
    return {
        "modality": modality,
        "preset": preset,
        "num_envs": num_envs,
        "model_ms": ms["model"],
        "vector_env_ms": ms["vector_env"],
        "sb3_vec_env_ms": ms["sb3_vec_env"],
        "noise_ms": ms["noise"],
        "overhead": ms["vector_env"] / ms["model"] - 1,
        "overhead_a_tenth_reset": ms["short_episodes"] / ms["model"] - 1,
        "sb3_overhead": ms["sb3_vec_env"] / ms["model"] - 1,
        "steps_per_cpu_second": num_envs / ms["vector_env"] * 1e3,
        "target": TARGET,
    }


def main() -> None:
    """Measure both modalities, print a line for each, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds of ten steps of each side")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    rows = []
    for modality in ("frames", "state"):
        for num_envs in (64, 256):
            row = measure(options.preset, modality, num_envs, rounds=options.rounds, device=options.device)
            print(f"{modality} B={num_envs}: model {row['model_ms']:.1f} ms, overhead {row['overhead']:.1%}")
            rows.append(row)
    path = write("wrapper", rows, notes="Overhead of one vectorised step over the bare model step, resets included.")
    print(path)


if __name__ == "__main__":
    main()
