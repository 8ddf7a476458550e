"""Writes docs/tasks.md out of the specs: every task, every coordinate of its state, and what was left out and why."""

from __future__ import annotations

from .env import TaskEnv
from .spec import TaskSpec
from .table import SPECS

HEADER = """# Tasks

Made by `python -m physics.tasks > docs/tasks.md`; a test compares the two.

`gymnasium.make(id, obs="frames" | "state", size=64, world=physics.World(...))` after `import wmenv`. Dynamics, rewards
and terminations are those of the source. `obs="state"` holds everything that they depend on, in SI units, float32 cut
to the bounds below; `info` carries it too, with `qpos`, `qvel` (float64) and `time` (s). A hinge that can turn
round, or nearly so, is given as cosine and sine. Coordinates of one group belong to the same joint, object or goal.

Frames are drawn from the positions after the step, by a camera without perspective; what the robots stand on is painted
blocks. Sizes of small parts are exaggerated in the picture alone.
"""


def document() -> str:
    """The text of docs/tasks.md."""
    return "\n".join([HEADER, *(_section(spec) for spec in SPECS)])


def _section(spec: TaskSpec) -> str:
    env = TaskEnv(spec)
    try:
        action = env.action_space
        low, high = float(action.low.min()), float(action.high.max())
        lines = [
            f"## `{spec.id}`",
            "",
            f"Source `{spec.source}`; {spec.max_episode_steps} steps of {1 / env.fps:g} s; "
            f"{len(env.state_names)} state coordinates; {action.shape[0]} actions in [{low:g}, {high:g}]."
            + (f" {spec.note}" if spec.note else ""),
            "",
            "| # | coordinate | low | high | group | meaning |",
            "|---|---|---|---|---|---|",
        ]
        for number, c in enumerate(env.coordinates):
            lines.append(f"| {number} | `{c.label}` | {c.low:g} | {c.high:g} | {c.group} | {c.meaning} |")
        left_out = [
            *(f"`qpos:{joint}` ({reason})" for joint, reason in spec.omit_position.items()),
            *(f"`qvel:{joint}` ({reason})" for joint, reason in spec.omit_velocity.items()),
            *(f"`{joint}` ({reason})" for joint, reason in spec.omit.items()),
        ]
        if left_out:
            lines += ["", f"Left out: {'; '.join(left_out)}."]
        return "\n".join([*lines, ""])
    finally:
        env.close()
