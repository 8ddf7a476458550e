"""A scene of our own: a gripper takes a cup from a table. A Gymnasium class, so that it opens like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.mujoco import MujocoEnv
from numpy.typing import NDArray

Array = NDArray[np.float64]
SCENE = Path(__file__).parent / "assets" / "cup_lift.xml"
FRAME_SKIP = 10
HAND = (0.0, 0.0, 0.6)  # m, world frame: where the middle between the pads is at qpos 0
STANDING = 0.448  # m, height of the cup's middle when it stands on the table
FALLEN = STANDING - 0.1  # m
LIFTED = 0.1  # m above the table for the full reward
OPEN = 0.045  # m, the travel of a finger
CLOSED = 0.021  # m, the travel of a finger when its pad touches a cup in the middle
WITHIN = 0.03  # m, how far from the cup's middle a grasp may be


class CupLift(MujocoEnv):
    """Reach the cup, take it, lift it.

    State: hand y, x, z and both fingers (m), the cup's place (m) and attitude (quaternion wxyz), and their velocities.
    Actions: five forces in units of their limits: hand y, x, z (15 N), left and right finger (9 N, positive closes).
    Half of the episodes begin with the cup between the open fingers, the others with the hand anywhere above the table.
    The reward, in [0, 1], is that of `reward`. An episode ends when the cup has fallen off the table.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["human", "rgb_array", "depth_array"], "render_fps": 50}

    def __init__(self, **options: Any) -> None:
        space = spaces.Box(-np.inf, np.inf, (23,), np.float64)
        super().__init__(str(SCENE), FRAME_SKIP, space, **options)

    def reset_model(self) -> Array:
        """Places cup and hand anew."""
        random, qpos = self.np_random, self.init_qpos.copy()
        near = random.random() < 0.5
        qpos[5:7] = random.uniform((-0.1, -0.08), (0.1, 0.08))
        turn = random.uniform(-np.pi, np.pi) / 2
        qpos[7:12] = STANDING, np.cos(turn), 0.0, 0.0, np.sin(turn)
        if near:
            qpos[:2] = qpos[6:4:-1] + random.uniform(-0.008, 0.008, 2)
            qpos[2] = random.uniform(-0.15, -0.12)
            qpos[3:5] = random.uniform(0.0, 0.01, 2)
        else:
            qpos[:3] = random.uniform((-0.12, -0.16, -0.02), (0.12, 0.16, 0.05))
            qpos[3:5] = random.uniform(0.0, OPEN, 2)
        self.set_state(qpos, np.zeros(self.model.nv))
        return self.state_vector()

    def step(self, action: NDArray[np.floating]) -> tuple[Array, float, bool, bool, dict[str, float]]:
        """Advances one control step, 20 ms."""
        self.do_simulation(action, FRAME_SKIP)
        parts = reward_parts(self.data.qpos)
        ended = bool(self.data.qpos[7] < FALLEN)
        return self.state_vector(), reward(self.data.qpos), ended, False, parts


def reward_parts(qpos: Array) -> dict[str, float]:
    """How far a state has come, each in [0, 1].

    `reach`: 1 - tanh(5 d), d the distance in m from the middle between the pads to the cup's middle.
    `grasp`: how far the fingers have closed on a cup that is between the pads; 0 when it is not there.
    `lift`: height of the cup above the table, 1 at 10 cm; 0 unless it is between the pads.
    """
    centre = np.array(HAND) + qpos[[1, 0, 2]]
    centre[0] += 0.5 * (qpos[3] - qpos[4])
    distance = float(np.linalg.norm(qpos[5:8] - centre))
    between = float(np.clip(2.0 - distance / WITHIN, 0.0, 1.0))
    closed = float(np.clip((qpos[3] + qpos[4]) / (2 * CLOSED), 0.0, 1.0))
    height = float(np.clip((qpos[7] - STANDING) / LIFTED, 0.0, 1.0))
    return {"reach": 1.0 - float(np.tanh(5.0 * distance)), "grasp": between * closed, "lift": between * height}


def reward(qpos: Array) -> float:
    """0.2 reach + 0.2 grasp + 0.6 lift, in [0, 1]; it depends on the positions alone."""
    parts = reward_parts(qpos)
    return 0.2 * parts["reach"] + 0.2 * parts["grasp"] + 0.6 * parts["lift"]


gymnasium.register(id="physics/CupLift-v0", entry_point=CupLift)
