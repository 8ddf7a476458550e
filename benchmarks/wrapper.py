"""Measures what the environment costs on top of the world model: a bare loop of model steps against the vector env.

`python -m benchmarks.wrapper` writes benchmarks/wrapper.json. Both sides run in turn in one process, and a fiftieth
of the rows is reset in every step (a tenth in one column); the weights are random, since time does not depend on them.
Each overhead is the median of ratios within a round, which a busy machine leaves alone. The clock is the wall's:
processor time would count the threads that wait for the next parallel part, and so the environment's own part twice.
"""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np
import torch

from agents import SB3VecEnv
from agents.bench.models import ACTION_DIM, staggered, untrained_model
from agents.bench.timing import in_turn
from wmenv.random import normal

from .common import write

TARGET = 0.10  # of the model's time


def measure(preset: str, modality: str, num_envs: int, *, rounds: int, device: str) -> dict[str, str | float | int]:
    """One row: the model alone, the vector environment, SB3's adapter over it, and the noise by itself."""
    model = untrained_model(preset, modality, device=device)
    envs, sb3 = staggered(model, num_envs, 50), SB3VecEnv(staggered(model, num_envs, 50))
    short = staggered(model, num_envs, 10)
    index = torch.arange(num_envs, device=device)
    state = [model.start_lazily(index % model.num_starts)]  # as the environment commits
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
    times = in_turn(sides, rounds=rounds, calls=10)
    ms = {name: median(values) for name, values in times.items()}

    def overhead(name: str) -> float:
        return median(whole / model for whole, model in zip(times[name], times["model"], strict=True)) - 1

    return {
        "modality": modality,
        "preset": preset,
        "num_envs": num_envs,
        "model_ms": ms["model"],
        "vector_env_ms": ms["vector_env"],
        "sb3_vec_env_ms": ms["sb3_vec_env"],
        "noise_ms": ms["noise"],
        "overhead": overhead("vector_env"),
        "overhead_a_tenth_reset": overhead("short_episodes"),
        "sb3_overhead": overhead("sb3_vec_env"),
        "steps_per_second": num_envs / ms["vector_env"] * 1e3,
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
