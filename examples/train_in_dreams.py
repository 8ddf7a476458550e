"""Train stable-baselines3's own PPO in dreams, without any of wmenv's training code.

`wmenv imagine` does more: it normalises rewards, scales actions, guards against NaN and stores the policy without
pickle. Needs a world model. Run: python examples/train_in_dreams.py [MODEL] [STEPS]
"""

import sys

import gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

import wmenv
from agents import DreamVecEnv, wrap_real


def main(model: str = "runs/demo/model", steps: str = "100000") -> None:
    """Learns in 64 dreams, then tries the policy on the real task."""
    world = wmenv.WorldModel.from_pretrained(model)
    dreams = VecMonitor(DreamVecEnv(world, 64, horizon=100))
    dreams = VecNormalize(dreams, norm_obs=False)
    ppo = PPO("MlpPolicy", dreams, n_steps=32, batch_size=512, n_epochs=5, seed=0, device="cpu")
    ppo.learn(int(steps))
    returns = [episode["r"] for episode in ppo.ep_info_buffer]
    print(
        f"{ppo.num_timesteps:,} steps dreamed; the last {len(returns)} dreams return {sum(returns) / len(returns):.1f}"
    )

    real = gym.make(world.config.task, obs=world.config.modality)
    real = wrap_real(real, world)  # the same observations as in the dream
    mean, std = evaluate_policy(ppo.policy, Monitor(real), n_eval_episodes=5)
    print(f"on the real task: {mean:.1f} +- {std:.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
