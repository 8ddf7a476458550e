"""Finds the world in which clips were recorded, so that the verifier's ensemble can be centred on it."""

from .fit import Identified, identify

__all__ = ["Identified", "identify"]
