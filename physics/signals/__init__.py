"""What is measured on a clip: one physical quantity a function, per frame and in SI units where it has any."""

from .contact import float_height, penetration, skate
from .energy import energy_gain
from .inverse import ghost_force, motor_excess
from .kinematic import speed_mismatch
from .limits import action_excess, norm_error, range_excess, speed_excess
from .momentum import unexplained_force
from .replay import Noise, drift, innovation, innovation_square, last_square, replay_errors
from .tracking import tracking_error

__all__ = [
    "Noise",
    "action_excess",
    "drift",
    "energy_gain",
    "float_height",
    "ghost_force",
    "innovation",
    "innovation_square",
    "last_square",
    "motor_excess",
    "norm_error",
    "penetration",
    "range_excess",
    "replay_errors",
    "skate",
    "speed_excess",
    "speed_mismatch",
    "tracking_error",
    "unexplained_force",
]
