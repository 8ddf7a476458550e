"""Clips of the real simulator, for calibration and for benchmarks: many starts, many ways to act, any world.

# B clips, T frames
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import TaskError
from ..mechanics.control_model import ControlModel, control_model
from ..mechanics.simulator import Simulator
from ..tasks.registry import find_spec
from ..tasks.sources import open_simulation
from ..world import World, as_world
from .clip import MotionClip

Array = NDArray[np.float64]
LONGEST_LEAD = 20  # control steps before a clip begins, so that clips show more than what follows a reset
LONGEST_HOLD = 8  # control steps for which an action is held
SPARE = 2  # as many rows again, since some diverge


def record_clips(
    task: str, num: int, frames: int = 32, *, seed: int = 0, world: World | dict[str, float] | None = None
) -> list[MotionClip]:
    """Records `num` clips of `frames` states each.

    A clip begins up to 20 control steps after a reset of the task. Its actions are random, drawn anew every 1 to 8
    steps, with a size and a tendency of the clip's own. The task's terminations are not heeded: lying is physics too.

    Args:
        task: Id of the task.
        num: Clips wanted.
        frames: T of each, at least 2.
        seed: The same seed gives the same clips.
        world: Multipliers of the model's constants; None: the nominal world.

    Raises:
        TaskError: There is no such task, a number is out of range, or the world is too wild to be recorded.
    """
    for name, value, least in (("num", num, 1), ("frames", frames, 2)):
        if not (isinstance(value, (int, np.integer)) and value >= least):
            raise TaskError(f"{name}: expected a whole number of at least {least}, got {value!r}")
    m, world = control_model(task, world), as_world(world)
    rng = np.random.default_rng([seed, 0x636C6970])
    rows = num * SPARE
    qpos, qvel = _starts(task, rows, seed, world)
    lead = rng.integers(0, LONGEST_LEAD + 1, rows)
    action = random_actions(m, rows, LONGEST_LEAD + frames - 1, rng)
    out = Simulator(m, rows).rollout(qpos, qvel, action)
    qpos = np.concatenate((qpos[:, None], out.qpos), axis=1)
    qvel = np.concatenate((qvel[:, None], out.qvel), axis=1)
    sound = [b for b in range(rows) if not out.diverged[b, : lead[b] + frames - 1].any()][:num]
    if len(sound) < num:
        raise TaskError(f"world: expected a world in which {task} can be simulated, got {world.to_dict()}")
    return [
        MotionClip(
            task=task,
            qpos=qpos[b, lead[b] : lead[b] + frames],
            qvel=qvel[b, lead[b] : lead[b] + frames],
            action=action[b, lead[b] : lead[b] + frames - 1],
            world=world,
        )
        for b in sound
    ]


def random_actions(m: ControlModel, rows: int, steps: int, rng: np.random.Generator) -> Array:
    """Actions (B, steps, nu): each row has its own hold, size and tendency."""
    middle, half = (m.low + m.high) / 2, (m.high - m.low) / 2
    hold = rng.integers(1, LONGEST_HOLD + 1, rows)
    size = rng.uniform(0.2, 1.0, (rows, 1, 1))
    tendency = rng.uniform(-0.3, 0.3, (rows, 1, len(half)))
    drawn = rng.uniform(-1, 1, (rows, steps, len(half)))
    which = np.arange(steps)[None] // hold[:, None]
    held = np.take_along_axis(drawn, which[..., None], axis=1)
    return middle + half * np.clip(size * held + tendency * (1 - size), -1, 1)


def _starts(task: str, rows: int, seed: int, world: World) -> tuple[Array, Array]:
    simulation = open_simulation(find_spec(task), world)
    try:
        states = []
        for row in range(rows):
            simulation.reset(seed * 1_000_003 + row)
            states.append((simulation.data.qpos.copy(), simulation.data.qvel.copy()))
    finally:
        simulation.close()
    qpos, qvel = zip(*states, strict=True)
    return np.stack(qpos), np.stack(qvel)
