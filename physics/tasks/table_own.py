"""The tasks over scenes of our own, with their states and cameras."""

from __future__ import annotations

from ..drawing.camera import BLACK, BLUE, CYAN, GREEN, LIGHT_GREY, MAGENTA, ORANGE, RED, WHITE, Camera, Colour
from .spec import TaskSpec

BROWN: Colour = (0.34, 0.26, 0.18)

CUP_LIFT = TaskSpec(
    id="wmenv/CupLift-v0",
    source="gym:physics.tasks.cup_lift:physics/CupLift-v0",  # Gymnasium imports the module before the colon
    max_episode_steps=150,
    position_bounds={"cup": (-0.5, 2.0)},
    velocity_bounds={
        "hand_y": 5.0,
        "hand_x": 5.0,
        "hand_z": 5.0,
        "left_finger": 5.0,
        "right_finger": 5.0,
        "cup": 100.0,
    },
    meaning={
        "hand_y": "beam and hand, from the middle of the table",
        "hand_x": "hand along the beam",
        "hand_z": "middle between the pads, from 0.6 m",
        "left_finger": "inward from fully open",
        "right_finger": "inward from fully open",
        "cup": "cup",
    },
    note=(
        "Reward, in [0, 1]: 0.2 reach + 0.2 grasp + 0.6 lift; reach is 1 - tanh(5 d), d the distance in m from the "
        "middle between the pads to the cup; grasp is how far the fingers have closed on a cup between them; lift is "
        "the height of a cup between the pads, 1 at 10 cm. Half of the episodes begin with the cup between the open "
        "fingers; an episode ends when the cup has fallen off the table."
    ),
    camera=Camera(
        lookat=(0.0, 0.0, 0.55),
        width=0.6,
        azimuth=90.0,
        elevation=-25.0,
        colours={
            "cup": WHITE,
            "drink": BLACK,
            "beam": MAGENTA,
            "carriage": BLUE,
            "palm": CYAN,
            "rod": LIGHT_GREY,
            "left_finger": ORANGE,
            "right_finger": GREEN,
            "table": BROWN,
            "leg": BROWN,
            "stave2": RED,
        },
        shading=True,
    ),
)

OWN_SPECS: tuple[TaskSpec, ...] = (CUP_LIFT,)
