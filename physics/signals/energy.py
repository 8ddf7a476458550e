"""Energy that came from nowhere: more than the motors can have put in.

# B clips, T frames, nv degrees of freedom, nu actuators
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..clips.batch import ClipBatch
from ..clips.windows import over_windows
from ..mechanics.forward import forward

Array = NDArray[np.float64]
WINDOW = 8  # control steps


def energy_gain(clips: ClipBatch) -> Array:
    """max(0, change of energy - work of the motors) over windows of 8 steps, in units of m g times 1 m, (B, T).

    With actions the work is what they did; without, the most that motors at their limits could have done at these
    speeds. Contacts and friction only take energy; springs of joint limits are part of neither side, so that real clips
    gain a little.
    """
    frames = clips.shape[1]
    window = min(WINDOW, frames - 1)
    force = _motor_forces(clips)
    speed = (clips.qvel[:, :-1] + clips.qvel[:, 1:]) / 2
    power = np.abs(force * speed).sum(-1) if clips.action is None else (force * speed).sum(-1)
    work = np.cumsum(np.pad(power * clips.m.dt, ((0, 0), (1, 0))), axis=1)
    excess = clips.bodies.energy - work
    gain = np.maximum(excess[:, window:] - excess[:, :-window], 0)
    gravity = max(float(np.linalg.norm(clips.m.model.opt.gravity)), 1.0)
    return over_windows(gain / (clips.bodies.mass * gravity), frames)


def _motor_forces(clips: ClipBatch) -> Array:
    """Generalised forces (B, T - 1, nv) of the motors, N or Nm: of the actions, or the largest possible ones."""
    if clips.action is not None:
        return _forces(clips, np.clip(clips.action, clips.m.low, clips.m.high))
    ends = [np.broadcast_to(end, (*clips.qvel[:, 1:].shape[:2], len(end))) for end in (clips.m.low, clips.m.high)]
    return np.maximum(*(np.abs(_forces(clips, end)) for end in ends))


def _forces(clips: ClipBatch, control: Array) -> Array:
    b, t = control.shape[:2]
    qpos, qvel, ctrl = (each.reshape(b * t, -1) for each in (clips.qpos[:, :-1], clips.qvel[:, :-1], control))
    (force,) = forward(clips.m.model, ("qfrc_actuator",), qpos, qvel, ctrl, stage=mujoco.mjtStage.mjSTAGE_ACC)
    return force.reshape(b, t, -1)
