"""Finds the world in which clips were recorded, so that the verifier's ensemble can be centred on it."""

from .fit import PARAMETERS, Identified, identify

__all__ = ["PARAMETERS", "Identified", "identify"]
