"""The learned motion tracker: an environment over real clips, PPO in it, and what it leaves on disk."""
