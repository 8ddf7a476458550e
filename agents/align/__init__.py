"""RLPF, reinforcement learning from physical feedback: a world model dreams, MuJoCo grades, PPO tunes the model."""

from .align import align
from .config import METHODS, AlignConfig, Method
from .figures import Figures, figures

__all__ = ["METHODS", "AlignConfig", "Figures", "Method", "align", "figures"]
