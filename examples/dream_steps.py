"""Step dreams as ordinary Gymnasium environments: many at once, seeded, saved, and forked into two futures.

Needs a world model; `make demo` leaves one in runs/demo/model. Run: python examples/dream_steps.py [MODEL]
"""

import sys

import gymnasium as gym
import numpy as np

import wmenv  # noqa: F401  registers the environments


def main(model: str = "runs/demo/model") -> None:
    """Dreams 64 episodes, then shows what seeds, saved states and forks are for."""
    dreams = gym.make_vec("wmenv/Dream-v0", num_envs=64, model=model)
    obs, info = dreams.reset(seed=0)  # environment i dreams from seed i, whatever its neighbours do
    print(f"{dreams.num_envs} dreams, observations {obs.shape}, actions {dreams.action_space.shape}")

    dreams.action_space.seed(0)
    total, ended = np.zeros(64), 0
    for _ in range(100):
        obs, reward, terminated, truncated, info = dreams.step(dreams.action_space.sample())
        total += reward
        ended += int((terminated | truncated).sum())
    print(f"100 steps each: mean reward {total.mean() / 100:.3f}, {ended} episodes ended")

    moment = dreams.unwrapped.save_state()
    action = dreams.action_space.sample()
    first = dreams.step(action)[1]
    dreams.unwrapped.load_state(moment)  # back in time, random numbers included
    print("the same step again gives the same rewards:", np.array_equal(first, dreams.step(action)[1]))

    dreams.unwrapped.fork(source=0, targets=[1, 2, 3])  # four dreams now stand where dream 0 stands
    rewards = dreams.step(dreams.action_space.sample())[1]
    print("four actions from one moment are paid", np.round(rewards[:4], 3))
    dreams.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
