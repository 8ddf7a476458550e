"""The tasks over Gymnasium's v5 MuJoCo classes, with their states and cameras."""

from __future__ import annotations

from ..camera import BLUE, CYAN, GREEN, MAGENTA, ORANGE, RED, WHITE, YELLOW, Camera, Ground
from .spec import TaskSpec

_ALONG = "nothing depends on how far the robot has come; its speed is in the state"

INVERTED_PENDULUM = TaskSpec(
    id="wmenv/InvertedPendulum-v0",
    source="gym:InvertedPendulum-v5",
    max_episode_steps=1000,
    velocity_bounds={"slider": 20.0, "hinge": 50.0},
    meaning={"slider": "cart along the rail", "hinge": "pole from upright, positive towards +x"},
    camera=Camera(
        lookat=(0.0, 0.0, 0.27),
        width=0.84,
        track="x",
        track_body="cart",
        colours={"cpole": YELLOW, "cart": WHITE},
        sizes={"cart": (0.045, 0.07), "cpole": (0.035, 0.3)},
        hidden=("rail",),
        ground=Ground(period=0.2, top=-0.06, thickness=0.1, ramp=1.0),
    ),
)

REACHER = TaskSpec(
    id="wmenv/Reacher-v0",
    source="gym:Reacher-v5",
    max_episode_steps=50,
    omit_velocity={"target_x": "always 0", "target_y": "always 0"},
    velocity_bounds={"joint0": 60.0, "joint1": 60.0},
    objects=(("target_x", "target_y"),),
    meaning={
        "joint0": "upper arm about z",
        "joint1": "forearm against upper arm",
        "target_x": "goal",
        "target_y": "goal",
    },
    camera=Camera(
        lookat=(0.0, 0.0, 0.0),
        width=0.47,
        elevation=-90.0,
        colours={"link0": BLUE, "link1": GREEN, "fingertip": WHITE, "target": RED, "root": CYAN},
        sizes={"fingertip": (0.013,), "link0": (0.011, 0.05), "link1": (0.011, 0.05)},
        discs={"target": 0.018},
        hidden=("sideS", "sideE", "sideN", "sideW"),
    ),
)

HOPPER = TaskSpec(
    id="wmenv/Hopper-v0",
    source="gym:Hopper-v5",
    max_episode_steps=1000,
    omit_position={"rootx": _ALONG},
    position_bounds={"rootz": (-0.5, 3.0)},
    bounded_hinges={"rooty": (-1.0, 1.0)},
    velocity_bounds={"rootx": 20.0, "rootz": 20.0, "rooty": 30.0},
    meaning={"rootx": "torso along x", "rootz": "height of the torso", "rooty": "pitch of the torso; ends beyond 0.2"},
    camera=Camera(
        lookat=(0.0, 0.0, 0.72),
        width=1.8,
        track="x",
        track_body="torso",
        colours={"torso_geom": WHITE, "thigh_geom": ORANGE, "leg_geom": CYAN, "foot_geom": MAGENTA},
        ground=Ground(period=0.8),
    ),
)

HALF_CHEETAH = TaskSpec(
    id="wmenv/HalfCheetah-v0",
    source="gym:HalfCheetah-v5",
    max_episode_steps=1000,
    omit_position={"rootx": _ALONG},
    position_bounds={"rootz": (-2.0, 3.0)},
    velocity_bounds={"rootx": 25.0, "rootz": 20.0, "rooty": 30.0},
    meaning={"rootx": "torso along x", "rootz": "height of the torso above its start", "rooty": "pitch of the torso"},
    camera=Camera(
        lookat=(0.05, 0.0, 0.6),
        width=2.0,
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

GYM_SPECS: tuple[TaskSpec, ...] = (INVERTED_PENDULUM, REACHER, HOPPER, HALF_CHEETAH)
