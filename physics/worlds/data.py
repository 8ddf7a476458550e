"""D: the hidden world in which 'real' data are recorded. Nothing that verifies or rewards may read it."""

from __future__ import annotations

from ..world import World

DATA_WORLD = World(mass=1.15, friction=0.8, damping=1.3, gear=0.9)
"""Moderately off nominal, as an uncalibrated robot is: heavier, slipperier, stiffer in its joints and weaker."""
