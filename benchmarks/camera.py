"""Measures what a 64x64 frame costs: our cameras, and Gymnasium's default rendering of the same robot at the same size.

`python -m benchmarks.camera` writes benchmarks/camera.json. Gymnasium draws in a process of its own, with none of the
settings that `import physics` makes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

import physics

from .common import rate, write

SIZE = 64
TARGET = 10.0  # how many times faster than Gymnasium's default Hopper has to be
PAIRS = {
    "wmenv/InvertedPendulum-v0": "InvertedPendulum-v5",
    "wmenv/Reacher-v0": "Reacher-v5",
    "wmenv/Pusher-v0": "Pusher-v5",
    "wmenv/Hopper-v0": "Hopper-v5",
    "wmenv/HalfCheetah-v0": "HalfCheetah-v5",
    "wmenv/Walker2d-v0": "Walker2d-v5",
    "wmenv/Humanoid-v0": "Humanoid-v5",
}
_THEIRS = """
import json, sys
import gymnasium
from benchmarks.common import rate
env = gymnasium.make(sys.argv[1], render_mode="rgb_array", width=int(sys.argv[2]), height=int(sys.argv[2]))
env.reset(seed=0)
print(json.dumps(rate(env.render)))
"""


def per_cpu_second(draw: Callable[[], object], *, seconds: float = 0.7) -> float:
    """Calls per second of processor time, the driver's threads included: holds on a busy machine."""
    draw()
    calls, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        draw()
        calls += 1
    return calls / (time.process_time() - cpu)


def gymnasium_default(env_id: str) -> float:
    """Frames per second of Gymnasium's own rendering of `env_id`, in a fresh process."""
    env = {name: value for name, value in os.environ.items() if name != "LP_NUM_THREADS"} | {"MUJOCO_GL": "egl"}
    command = [sys.executable, "-c", _THEIRS, env_id, str(SIZE)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=True)
    return float(json.loads(done.stdout))


def measure(task: str, source: str) -> dict[str, str | float]:
    """One row: the camera, the whole environment with frames, and Gymnasium's default, frames per second."""
    env = physics.TaskEnv(task, obs="frames", size=SIZE)
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape, np.float32)

    def step() -> None:
        if env.step(action)[2]:
            env.reset()

    fps = rate(env.camera_frame)
    row = {"camera_fps": fps, "camera_fps_per_cpu_second": per_cpu_second(env.camera_frame), "env_fps": rate(step)}
    env.close()
    default = gymnasium_default(source)
    return {"task": task, **row, "gymnasium_default_fps": default, "ratio": fps / default}


def main() -> None:
    """Measure every robot, print a line for each, and write the table."""
    rows = []
    for task, source in PAIRS.items():
        rows.append(measure(task, source))
        line = "  ".join(f"{key} {value:,.0f}" for key, value in rows[-1].items() if isinstance(value, float))
        sys.stdout.write(f"{task:26s}{line}\n")
    write("camera", rows, notes=f"{SIZE}x{SIZE} pixels, drawn at {2 * SIZE}x{2 * SIZE} and averaged; one process.")
    ratio = next(row["ratio"] for row in rows if row["task"] == "wmenv/Hopper-v0")
    if float(ratio) < TARGET:
        sys.exit(f"Hopper: expected at least {TARGET:g} times Gymnasium's default, got {float(ratio):.1f}")


if __name__ == "__main__":
    main()
