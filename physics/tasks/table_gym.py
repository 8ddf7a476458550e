"""The tasks over Gymnasium's v5 MuJoCo classes, with their states and cameras."""

from __future__ import annotations

from ..drawing.camera import BLUE, CYAN, GREEN, MAGENTA, ORANGE, RED, WHITE, YELLOW, Camera, Ground
from .spec import TaskSpec

_ALONG = "nothing depends on how far the robot has come; its speed is in the state"

INVERTED_PENDULUM = TaskSpec(
    id="wmenv/InvertedPendulum-v0",
    source="gym:InvertedPendulum-v5",
    max_episode_steps=1000,
    velocity_bounds={"slider": 10.0, "hinge": 20.0},
    meaning={"slider": "cart along the rail", "hinge": "pole from upright, positive towards +x"},
    camera=Camera(
        lookat=(0.0, 0.0, 0.27),
        width=0.84,
        track="x",
        track_body="cart",
        colours={"cpole": YELLOW, "cart": WHITE},
        sizes={"cart": (0.045, 0.07), "cpole": (0.035, 0.3)},
        hidden=("rail",),
        ground=Ground(period=0.8, top=-0.06, thickness=0.1, ramp=0.8),
    ),
)

REACHER = TaskSpec(
    id="wmenv/Reacher-v0",
    source="gym:Reacher-v5",
    max_episode_steps=50,
    omit_velocity={"target_x": "always 0", "target_y": "always 0"},
    velocity_bounds={"joint0": 200.0, "joint1": 120.0},
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
    bounded_hinges={"rooty": (-2.0, 2.0)},
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

WALKER2D = TaskSpec(
    id="wmenv/Walker2d-v0",
    source="gym:Walker2d-v5",
    max_episode_steps=1000,
    omit_position={"rootx": _ALONG},
    position_bounds={"rootz": (-0.5, 3.0)},
    bounded_hinges={"rooty": (-3.2, 3.2)},
    velocity_bounds={"rootx": 20.0, "rootz": 30.0, "rooty": 100.0},
    default_velocity_bound=200.0,
    meaning={"rootx": "torso along x", "rootz": "height of the torso", "rooty": "pitch of the torso; ends beyond 1"},
    camera=Camera(
        lookat=(0.0, 0.0, 0.72),
        width=1.8,
        track="x",
        track_body="torso",
        colours={
            "torso_geom": WHITE,
            "thigh_geom": ORANGE,
            "leg_geom": RED,
            "foot_geom": MAGENTA,
            "thigh_left_geom": GREEN,
            "leg_left_geom": CYAN,
            "foot_left_geom": BLUE,
        },
        ground=Ground(period=0.8),
    ),
)

PUSHER = TaskSpec(
    id="wmenv/Pusher-v0",
    source="gym:Pusher-v5",
    max_episode_steps=100,
    omit={"goal_slidey": "the goal never moves", "goal_slidex": "the goal never moves"},
    position_bounds={"obj_slidey": (-2.0, 2.0), "obj_slidex": (-2.0, 2.0)},
    velocity_bounds={"obj_slidey": 5.0, "obj_slidex": 5.0},
    objects=(("obj_slidey", "obj_slidex"),),
    meaning={"obj_slidey": "object, from its place in the model", "obj_slidex": "object, from its place in the model"},
    note="The goal is the same in every episode, so it is no part of the state.",
    camera=Camera(
        lookat=(0.35, -0.35, -0.1),
        width=1.4,
        height=1.2,
        azimuth=270.0,
        elevation=-45.0,
        colours={
            "r_shoulder_pan_link": BLUE,
            "r_shoulder_lift_link": CYAN,
            "r_upper_arm_roll_link": CYAN,
            "r_upper_arm_link": GREEN,
            "r_elbow_flex_link": YELLOW,
            "r_forearm_roll_link": YELLOW,
            "r_forearm_link": ORANGE,
            "r_wrist_flex_link": MAGENTA,
            "r_wrist_roll_link": MAGENTA,
            "tips_arm": MAGENTA,
            "object": WHITE,
            "goal": RED,
        },
        shading=True,
    ),
)

HUMANOID = TaskSpec(
    id="wmenv/Humanoid-v0",
    source="gym:Humanoid-v5",
    max_episode_steps=1000,
    omit_position={"root": "nothing depends on where the robot stands; its velocity is in the state"},
    position_bounds={"root": (0.0, 3.0)},
    velocity_bounds={"root": 50.0},
    default_velocity_bound=100.0,
    meaning={"root": "torso"},
    camera=Camera(
        lookat=(0.0, 0.0, 0.85),
        width=1.9,
        azimuth=120.0,
        elevation=-12.0,
        track="xy",
        track_body="torso",
        colours={
            "torso": WHITE,
            "head": YELLOW,
            "lwaist": YELLOW,
            "pelvis": WHITE,
            "right_thigh": ORANGE,
            "right_shin": RED,
            "right_foot": MAGENTA,
            "left_thigh": GREEN,
            "left_shin": CYAN,
            "left_foot": BLUE,
            "right_upper_arm": MAGENTA,
            "right_lower_arm": ORANGE,
            "left_upper_arm": BLUE,
            "left_lower_arm": GREEN,
        },
        shading=True,
        ground=Ground(period=1.5, depth=1.5),
    ),
)

GYM_SPECS: tuple[TaskSpec, ...] = (INVERTED_PENDULUM, REACHER, PUSHER, HOPPER, HALF_CHEETAH, WALKER2D, HUMANOID)
