"""Motion trackers: controllers that try to repeat a clip's motion in the simulator, whatever its actions were."""

from .computed_torque import ComputedTorque
from .errors import BodyErrors, body_errors
from .features import Features
from .passive import Passive
from .practice import Practice, PracticeStep
from .reference import Ahead
from .sampling_mpc import SamplingMPC
from .track import Controller, Tracker, TrackResult, Tracks, track_clips, track_states

__all__ = [
    "Ahead",
    "BodyErrors",
    "ComputedTorque",
    "Controller",
    "Features",
    "Passive",
    "Practice",
    "PracticeStep",
    "SamplingMPC",
    "TrackResult",
    "Tracker",
    "Tracks",
    "body_errors",
    "track_clips",
    "track_states",
]
