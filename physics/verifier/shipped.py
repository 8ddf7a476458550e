"""The calibrations that come with the package, and what is done where there is none.

`python -m physics.verifier` makes those that are missing.
"""

from __future__ import annotations

from pathlib import Path

from ..clips.real import record_clips
from ..tasks.registry import cached_by_spec
from .calibrate import calibrate
from .calibration import Calibration

CLIPS, FRAMES, SEED = 384, 32, 20_261
FOLDER = Path(__file__).parent / "calibrations"
TASKS = tuple(
    f"wmenv/{name}-v0"
    for name in ("InvertedPendulum", "Reacher", "Pusher", "Hopper", "HalfCheetah", "Walker2d", "Humanoid", "CupLift")
)
NOISE = (0.0, 0.01, 0.02, 0.05)


@cached_by_spec
def known_calibration(task: str, noise: float) -> Calibration:
    """The shipped calibration of a task and noise, or one made of clips that are recorded now."""
    path = calibration_path(task, noise)
    # A user's "wmenv-Hopper-v0" would have the same file name as the task that is shipped.
    return Calibration.load(path) if task in TASKS and path.exists() else fresh_calibration(task, noise)


def fresh_calibration(task: str, noise: float) -> Calibration:
    """Records real clips of the task and calibrates on them: seconds to minutes."""
    return calibrate(record_clips(task, CLIPS, FRAMES, seed=SEED), noise=noise)


def calibration_path(task: str, noise: float) -> Path:
    """Where the calibration of a task and noise is shipped, if it is."""
    return FOLDER / f"{task.replace('/', '-')}_noise-{noise:g}.json"
