"""The tasks over the DeepMind Control Suite, with their states and cameras; they need the extra `dmc`."""

from __future__ import annotations

from ..drawing.camera import BLUE, CYAN, GREEN, MAGENTA, ORANGE, RED, WHITE, YELLOW, Camera, Ground
from .spec import TaskSpec

STEPS = 1000
_ALONG = "nothing depends on how far the robot has come; its speed is in the state"
_ROOT = {"rootx": "torso along x", "rootz": "height of the torso", "rooty": "pitch of the torso"}

CARTPOLE_SWINGUP = TaskSpec(
    id="wmenv/dmc-cartpole-swingup-v0",
    source="dmc:cartpole/swingup",
    max_episode_steps=STEPS,
    velocity_bounds={"slider": 20.0, "hinge_1": 50.0},
    meaning={"slider": "cart along the rail", "hinge_1": "pole from upright"},
    camera=Camera(
        lookat=(0.0, 0.0, 0.95),
        width=2.3,
        track="x",
        track_body="cart",
        colours={"cart": WHITE, "pole_1": YELLOW},
        sizes={"cart": (0.15, 0.1, 0.07), "pole_1": (0.06, 0.5)},
        hidden=("rail1", "rail2"),
        ground=Ground(period=1.8, top=-0.08, thickness=0.2, ramp=1.8),
    ),
)

REACHER_EASY = TaskSpec(
    id="wmenv/dmc-reacher-easy-v0",
    source="dmc:reacher/easy",
    max_episode_steps=STEPS,
    velocity_bounds={"shoulder": 50.0, "wrist": 50.0},
    goals={"target": (-0.21, 0.21)},
    meaning={"shoulder": "upper arm about z", "wrist": "forearm against upper arm"},
    camera=Camera(
        lookat=(0.0, 0.0, 0.0),
        width=0.53,
        elevation=-90.0,
        colours={"arm": BLUE, "hand": GREEN, "finger": WHITE, "target": RED, "root": CYAN},
        sizes={"finger": (0.014,), "arm": (0.012, 0.06), "hand": (0.012, 0.05)},
        discs={"target": 0.05},
    ),
)

WALKER_WALK = TaskSpec(
    id="wmenv/dmc-walker-walk-v0",
    source="dmc:walker/walk",
    max_episode_steps=STEPS,
    omit_position={"rootx": _ALONG},
    position_bounds={"rootz": (-2.0, 2.0)},
    velocity_bounds={"rootx": 20.0, "rootz": 20.0, "rooty": 60.0},
    default_velocity_bound=150.0,
    meaning={**_ROOT, "rootz": "height of the torso above its start"},
    camera=Camera(
        lookat=(0.0, 0.0, 0.75),
        width=1.9,
        track="x",
        track_body="torso",
        colours={
            "torso": WHITE,
            "right_thigh": ORANGE,
            "right_leg": RED,
            "right_foot": MAGENTA,
            "left_thigh": GREEN,
            "left_leg": CYAN,
            "left_foot": BLUE,
        },
        ground=Ground(period=0.8),
    ),
)

CHEETAH_RUN = TaskSpec(
    id="wmenv/dmc-cheetah-run-v0",
    source="dmc:cheetah/run",
    max_episode_steps=STEPS,
    omit_position={"rootx": _ALONG},
    position_bounds={"rootz": (-2.0, 2.0)},
    velocity_bounds={"rootx": 25.0, "rootz": 20.0, "rooty": 30.0},
    default_velocity_bound=80.0,
    meaning={**_ROOT, "rootz": "height of the torso above its start"},
    camera=Camera(
        lookat=(0.05, 0.0, 0.5),
        width=1.9,
        height=1.5,
        track="x",
        track_body="torso",
        colours={
            "torso": WHITE,
            "head": YELLOW,
            "bthigh": ORANGE,
            "bshin": RED,
            "bfoot": MAGENTA,
            "fthigh": GREEN,
            "fshin": CYAN,
            "ffoot": BLUE,
        },
        ground=Ground(period=1.6),
    ),
)

HOPPER_HOP = TaskSpec(
    id="wmenv/dmc-hopper-hop-v0",
    source="dmc:hopper/hop",
    max_episode_steps=STEPS,
    omit_position={"rootx": _ALONG},
    position_bounds={"rootz": (-2.0, 2.0)},
    velocity_bounds={"rootx": 20.0, "rootz": 20.0, "rooty": 50.0},
    default_velocity_bound=80.0,
    meaning={**_ROOT, "rootz": "height of the torso above its start"},
    camera=Camera(
        lookat=(0.0, 0.0, 0.6),
        width=1.7,
        track="x",
        track_body="torso",
        colours={
            "torso": WHITE,
            "nose": YELLOW,
            "pelvis": ORANGE,
            "thigh": GREEN,
            "calf": CYAN,
            "foot": MAGENTA,
        },
        ground=Ground(period=0.8),
    ),
)

BALL_IN_CUP = TaskSpec(
    id="wmenv/dmc-ball_in_cup-catch-v0",
    source="dmc:ball_in_cup/catch",
    max_episode_steps=STEPS,
    position_bounds={"cup_x": (-0.6, 0.6), "cup_z": (-0.6, 0.6), "ball_x": (-1.2, 1.2), "ball_z": (-1.2, 1.2)},
    default_velocity_bound=20.0,
    meaning={"cup_x": "cup", "cup_z": "cup", "ball_x": "ball", "ball_z": "ball, above its place in the model"},
    objects=(("cup_x", "cup_z"), ("ball_x", "ball_z")),
    camera=Camera(
        lookat=(0.0, 0.0, 0.5),
        width=1.1,
        colours={"ball": RED, "cup": WHITE},
        sizes={f"cup_part_{i}": (0.018,) for i in range(5)} | {"ball": (0.035,)},
    ),
)

DMC_SPECS: tuple[TaskSpec, ...] = (
    CARTPOLE_SWINGUP,
    REACHER_EASY,
    WALKER_WALK,
    CHEETAH_RUN,
    HOPPER_HOP,
    BALL_IN_CUP,
)
