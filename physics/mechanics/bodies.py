"""Momentum and energy of many states: what laws of conservation speak of.

# B clips, T frames
"""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from .control_model import ControlModel
from .forward import forward

Array = NDArray[np.float64]


class BodyMotion(NamedTuple):
    """SI units, world frame."""

    velocity: Array  # (B, T, 3) of the centre of mass of everything that moves
    energy: Array  # (B, T) kinetic and potential, springs included, J
    inverse: Array  # (B, T, nv) generalised force that no acceleration would need: gravity, Coriolis and passive forces
    mass: float  # of everything that moves, kg


def body_motion(m: ControlModel, qpos: Array, qvel: Array) -> BodyMotion:
    """The quantities of states (B, T, nq), (B, T, nv), all finite."""
    b, t = qpos.shape[:2]
    model = m.model.__copy__()
    model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    names = ("cvel", "xipos", "subtree_com", "energy", "qfrc_bias", "qfrc_passive")
    states = qpos.reshape(b * t, -1), qvel.reshape(b * t, -1)
    cvel, xipos, com, energy, bias, passive = forward(model, names, *states, stage=mujoco.mjtStage.mjSTAGE_VEL)
    # cvel is the velocity of the point of the body that is at its tree's centre of mass now
    speed = cvel[..., 3:] + np.cross(cvel[..., :3], xipos - com[:, model.body_rootid])
    mass = float(model.body_subtreemass[0])
    return BodyMotion(
        velocity=(speed * model.body_mass[:, None]).sum(1).reshape(b, t, 3) / mass,
        energy=energy.sum(-1).reshape(b, t),
        inverse=(bias - passive).reshape(b, t, -1),
        mass=mass,
    )
