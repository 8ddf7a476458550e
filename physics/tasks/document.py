"""Writes docs/tasks.md out of the specs: every task, every coordinate of its state, and what was left out and why."""

from __future__ import annotations

from textwrap import fill

from .env import TaskEnv
from .spec import TaskSpec
from .table import SPECS

COLUMNS = 120
HEADER = """# Tasks

Made by `python -m physics.tasks > docs/tasks.md`; a test compares the two.

`gymnasium.make(id, obs="frames" | "state", size=64, world=physics.World(...))` after `import wmenv`. Dynamics, rewards
and terminations are those of the source. `obs="state"` holds everything that they depend on, in SI units, float32 cut
to the bounds below; `info` carries it too, with `qpos`, `qvel` (float64) and `time` (s). A hinge that can turn
round, or nearly so, is given as cosine and sine. Coordinates of one group belong to the same joint, object or goal.

Frames are drawn from the positions after the step, by a camera without perspective; what the robots stand on is painted
blocks. Sizes of small parts are exaggerated in the picture alone. When a simulation diverges, `info["diverged"]` is
True, the episode terminates, the reward is 0 and the observation is the last finite one.

## A task of your own

One call makes a task of a MuJoCo Gymnasium id, or of an MJCF file with your own reward. The reward stands in a module
that can be imported, say `arm.py`, since recording runs in other processes, which import it: a lambda cannot be sent
into them.

```python
def reward(model, data, action):
    return -float(abs(data.qpos[0]))


def terminated(model, data):
    return bool(data.qpos[0] > 2.0)
```

```python
import arm
import physics

physics.register_task("me/Ant-v0", source="Ant-v5")
physics.register_task(
    "me/Arm-v0",
    source="arm.xml",
    max_episode_steps=200,
    options={"frame_skip": 5, "reward": arm.reward, "terminated": arm.terminated},
    camera=physics.Camera(lookat=(0.0, 0.0, 0.5), width=2.0),  # without one, a camera is fitted to the model
)
env = physics.make_task("me/Arm-v0", obs="frames")
```

`omit_position`, `bounded_hinges`, `velocity_bounds` and the other fields of `physics.TaskSpec` steer the state. The
file is compiled first in a process with bounded time and memory, and may open nothing outside its own folder.
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
            fill(
                f"Source `{spec.source}`; {spec.max_episode_steps} steps of {1 / env.fps:g} s; "
                f"{len(env.state_names)} state coordinates; {action.shape[0]} actions in [{low:g}, {high:g}]."
                + (f" {spec.note}" if spec.note else ""),
                COLUMNS,
                break_on_hyphens=False,
            ),
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
            lines += ["", fill(f"Left out: {'; '.join(left_out)}.", COLUMNS, break_on_hyphens=False)]
        return "\n".join([*lines, ""])
    finally:
        env.close()
