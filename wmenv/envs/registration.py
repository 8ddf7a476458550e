"""Registers every id with Gymnasium by entry-point strings, so that `import wmenv` needs Gymnasium alone."""

from __future__ import annotations

import gymnasium

TASKS: dict[str, int | None] = {
    "wmenv/InvertedPendulum-v0": 1000,
    "wmenv/Reacher-v0": 50,
    "wmenv/Pusher-v0": 100,
    "wmenv/Hopper-v0": 1000,
    "wmenv/HalfCheetah-v0": 1000,
    "wmenv/Walker2d-v0": 1000,
    "wmenv/Humanoid-v0": 1000,
    "wmenv/CupLift-v0": 150,
    "wmenv/dmc-cartpole-swingup-v0": 1000,
    "wmenv/dmc-reacher-easy-v0": 1000,
    "wmenv/dmc-walker-walk-v0": 1000,
    "wmenv/dmc-cheetah-run-v0": 1000,
    "wmenv/dmc-hopper-hop-v0": 1000,
    "wmenv/dmc-ball_in_cup-catch-v0": 1000,
}
"""Control steps until truncation, by task id."""

DREAM = "wmenv/Dream-v0"


def register_all() -> None:
    """Register the real tasks and the dream; an id that is registered already is left as it is."""
    for task, steps in TASKS.items():
        if task not in gymnasium.registry:
            gymnasium.register(id=task, entry_point="physics:TaskEnv", max_episode_steps=steps, kwargs={"task": task})
    if DREAM not in gymnasium.registry:
        gymnasium.register(id=DREAM, entry_point="wmenv.envs:DreamEnv", vector_entry_point="wmenv.envs:DreamVectorEnv")
