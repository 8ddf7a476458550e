"""Optimising a model step by step, so that a killed run goes on bit for bit."""

from .run import Progress, Stage, run_stage

__all__ = ["Progress", "Stage", "run_stage"]
