"""physics: real tasks in MuJoCo with fast cameras, and what is measured on them."""

from .drawing.graphics import choose_backend

choose_backend()  # MuJoCo reads MUJOCO_GL once, when it is first imported

from .clips.clip import MotionClip  # noqa: E402
from .clips.film import film  # noqa: E402
from .clips.from_states import clips_of_states  # noqa: E402
from .clips.real import record_clips  # noqa: E402
from .clips.state_motion import StateMotion  # noqa: E402
from .drawing.camera import Camera, Ground  # noqa: E402
from .errors import ClipError, TaskError  # noqa: E402
from .estimator import EstimatorError, StateEstimator, train_estimator  # noqa: E402
from .identify import Identified, identify  # noqa: E402
from .mechanics.control_model import ControlModel  # noqa: E402
from .tasks import TaskEnv, TaskSpec, make_task, register_task, task_ids  # noqa: E402
from .tracker import (  # noqa: E402
    Ahead,
    ComputedTorque,
    Controller,
    Features,
    Passive,
    Practice,
    SamplingMPC,
    Tracker,
    TrackResult,
    track_clips,
)
from .verifier.calibrate import calibrate  # noqa: E402
from .verifier.calibration import Calibration  # noqa: E402
from .verifier.dreams import DreamVerifier  # noqa: E402
from .verifier.frames import FrameVerifier  # noqa: E402
from .verifier.measure import SIGNALS  # noqa: E402
from .verifier.report import PhysicsReport  # noqa: E402
from .verifier.verifier import MotionVerifier  # noqa: E402
from .verifierbench import BenchConfig, phys_err, run_verifierbench, summary_rows, summary_tables  # noqa: E402
from .world import World  # noqa: E402
from .worlds import ensemble  # noqa: E402

__all__ = [
    "Ahead",
    "BenchConfig",
    "Calibration",
    "Camera",
    "ClipError",
    "ComputedTorque",
    "ControlModel",
    "Controller",
    "DreamVerifier",
    "EstimatorError",
    "Features",
    "FrameVerifier",
    "Ground",
    "Identified",
    "MotionClip",
    "MotionVerifier",
    "Passive",
    "PhysicsReport",
    "Practice",
    "SIGNALS",
    "SamplingMPC",
    "StateEstimator",
    "StateMotion",
    "TaskEnv",
    "TaskError",
    "TaskSpec",
    "TrackResult",
    "Tracker",
    "World",
    "calibrate",
    "clips_of_states",
    "ensemble",
    "film",
    "identify",
    "make_task",
    "phys_err",
    "record_clips",
    "register_task",
    "run_verifierbench",
    "summary_rows",
    "summary_tables",
    "task_ids",
    "track_clips",
    "train_estimator",
]
