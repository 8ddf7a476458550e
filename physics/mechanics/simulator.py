"""Steps many copies of a task's model at once on `mujoco.batch`: the one place where physics replays motions.

Results are the same bits whatever stands in the other rows and however many threads there are.

# B rows, H control steps
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from ..world import SCALED, World
from .control_model import ControlModel

Array = NDArray[np.float64]
_CONTROL = int(mujoco.mjtState.mjSTATE_CTRL)
_TIME, _QPOS, _QVEL = (
    int(each) for each in (mujoco.mjtState.mjSTATE_TIME, mujoco.mjtState.mjSTATE_QPOS, mujoco.mjtState.mjSTATE_QVEL)
)
_SILENT = mujoco.mjtStage.mjSTAGE_NONE


class Rollout(NamedTuple):
    """Where B simulations went. After a divergence the numbers of a row stay finite and mean nothing."""

    qpos: Array  # (B, H, nq)
    qvel: Array  # (B, H, nv)
    diverged: NDArray[np.bool_]  # (B, H), True from the first step that went wrong


class Simulator:
    """B simulations of one robot, each in a world of its own if wanted.

    Args:
        models: The control model of every row, or one for all. They must be of one task, so that sizes agree.
        rows: B.
        threads: 0 for all cores.
        worlds: The world of every row, in terms of the one model given: the same bits as a model that `World.apply`
            made for each row, without making any (see benchmarks/identify.py for what that saves).

    Example:
        >>> from physics.mechanics.control_model import control_model
        >>> pendulum = control_model("wmenv/InvertedPendulum-v0")
        >>> simulator = Simulator(pendulum, rows=3)
        >>> rest, push = np.zeros((3, 2)), np.ones((3, 5, 1))
        >>> simulator.rollout(rest, rest, push).qpos.shape
        (3, 5, 2)
    """

    def __init__(
        self,
        models: ControlModel | Sequence[ControlModel],
        rows: int,
        threads: int = 0,
        *,
        worlds: Sequence[World] | None = None,
    ) -> None:
        each = [models] * rows if isinstance(models, ControlModel) else list(models)
        assert len(each) == rows > 0, "a model for every row"
        self.control_model = each[0]
        self.rows = rows
        self._batch = Batch(each[0].model, rows, nthread=threads)
        if not isinstance(models, ControlModel):
            assert worlds is None, "worlds multiply one model"
            self._batch.set_models([m.model for m in each])
        elif worlds is not None:
            assert len(worlds) == rows, "a world for every row"
            _expand(self._batch, worlds)
        self._qpos, self._qvel = _columns(self._batch, _QPOS, _TIME), _columns(self._batch, _QVEL, _TIME | _QPOS)

    def rollout(self, qpos: Array, qvel: Array, action: Array) -> Rollout:
        """Replays actions (B, H, nu) from states (B, nq), (B, nv), all finite; motors saturate at the task's limits."""
        m, steps = self.control_model, action.shape[1]
        self._batch.reset(stage=_SILENT)
        self._qpos[:], self._qvel[:] = qpos, qvel
        control = np.repeat(np.clip(action, m.low, m.high), m.frame_skip, axis=1)
        wanted = [_QPOS, _QVEL, _TIME]
        record = self._batch.rollout(m.frame_skip * steps, np.ascontiguousarray(control), _CONTROL, wanted)
        last = slice(m.frame_skip - 1, None, m.frame_skip)
        q, v = np.array(record[_QPOS][:, last]), np.array(record[_QVEL][:, last])
        due = np.arange(1, steps + 1) * m.dt
        stopped = record[_TIME][:, last, 0] < due - 0.5 * m.model.opt.timestep  # MuJoCo stops a row when it warns
        bad = stopped | ~(np.isfinite(q).all(-1) & np.isfinite(v).all(-1))
        diverged = np.logical_or.accumulate(bad, axis=1)
        q[~np.isfinite(q)], v[~np.isfinite(v)] = 0.0, 0.0
        return Rollout(q, v, diverged)


def _columns(batch: Batch, what: int, before: int) -> Array:
    """The columns of a state component in the batch's rows, a live view.

    `Batch.bind` gives the same, but makes an MjData to ask for shapes, which costs more than a short-lived batch.
    """
    first = mujoco.mj_stateSize(batch.model, before)
    return batch.state[:, first : first + mujoco.mj_stateSize(batch.model, what)]


def _expand(batch: Batch, worlds: Sequence[World]) -> None:
    """Gives every simulation the constants of its world; a nominal one keeps the model's, bit for bit."""
    changed = np.array([not world.nominal for world in worlds])
    for parameter, names in SCALED.items():
        factor = np.array([getattr(world, parameter) for world in worlds])
        for name in names:
            if getattr(batch.model, name).size and (factor != 1).any():
                values = batch.expand(name)
                values *= factor.reshape(-1, *[1] * (values.ndim - 1))
    if changed.any():
        batch.set_const(changed)
