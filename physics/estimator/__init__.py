"""Reads a robot's state from frames: positions, velocities, and how far the readers disagree."""

from __future__ import annotations

from .build import train_estimator
from .errors import EstimatorError
from .estimator import StateEstimator
from .held_out import HeldOutError

__all__ = ["EstimatorError", "HeldOutError", "StateEstimator", "train_estimator"]
