"""From your own robot to a policy: register a MuJoCo task, record it, learn its dream, train in it, prove it.

The task may be a Gymnasium id whose class is a MujocoEnv, as here, or the path of an MJCF file with a reward of your
own, a function of a module that can be imported (docs/tasks.md). Takes some minutes; the numbers are small so that it
ends. Run: python examples/own_task.py [OUT]
"""

import sys
from pathlib import Path

import wmenv.train
from agents import evaluate, imagine, record
from physics import register_task

TASK = "me/Swimmer-v0"


def main(out: str = "runs/own_task", record_steps: int = 10_000, imagine_steps: int = 100_000) -> None:
    """Walks the whole road from the state; obs="frames" would walk it from a camera."""
    folder = Path(out)
    register_task(TASK, source="Swimmer-v5", max_episode_steps=200)
    data = record(TASK, record_steps, "random:4", folder / "data", obs="state")
    print(f"recorded {data.num_episodes} episodes, {data.num_steps} steps")
    model = wmenv.train.train(folder / "data", folder / "model", preset="tiny", overwrite=True)
    policy = imagine(model, imagine_steps, folder / "policy")
    for name, actor in (("random", "random"), ("dreamed", policy)):
        print(f"{name}: {evaluate(actor, task=TASK, episodes=10)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
