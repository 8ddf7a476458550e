"""Optimising a model step by step, so that a killed run goes on; on a CPU bit for bit."""

from .dynamics_stage import LatentEpisodes, change_emphasis, encode_episodes
from .run import Progress, Stage, run_stage

__all__ = ["LatentEpisodes", "Progress", "Stage", "change_emphasis", "encode_episodes", "run_stage"]
