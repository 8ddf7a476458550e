"""Measure a policy where it counts and where it learned: on the real task and in its dream.

Needs a policy; `make demo` leaves one in runs/demo/policy. Run: python examples/evaluate_policy.py [POLICY] [EPISODES]
"""

import sys

from agents import Policy, evaluate


def main(folder: str = "runs/demo/policy", episodes: str = "20") -> None:
    """Prints four lines: floor, real return, dreamed return, and how much the dream flatters."""
    policy = Policy.load(folder)
    count = int(episodes)
    task = policy.config.task
    floor = max((evaluate(name, task=task, episodes=count) for name in ("random", "zero")), key=lambda e: e.mean)
    real = evaluate(policy, task=task, episodes=count)
    dreamed = evaluate(policy, model=policy.model, episodes=count)
    for result in (floor, real, dreamed):
        print(result)
    print(f"the dream promises {dreamed.mean - real.mean:+.2f} against reality")


if __name__ == "__main__":
    main(*sys.argv[1:])
