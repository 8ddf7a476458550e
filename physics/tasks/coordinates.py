"""The state of a task, coordinate by coordinate: which numbers of a MuJoCo simulation it holds, bounded and named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..errors import TaskError
from .spec import Bound, TaskSpec

Kind = Literal["qpos", "cos", "sin", "qvel", "act", "goal"]
DEFAULT_POSITION_BOUND = 100.0  # m or rad, where neither model nor spec has one
SOFT_HINGE = 1.0  # rad; MuJoCo's limits are springs that strong motors overshoot: bounds lie so far beyond them
SOFT_SLIDE = 0.1  # of the range, at least half a decimetre
NEARLY_ROUND = 0.9 * 2 * np.pi  # rad


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinate:
    """One number of the state.

    Args:
        kind: "qpos" a position, "cos" or "sin" of an angle, "qvel" a velocity, "act" an activation, "goal" a target.
        name: The joint's (actuator's, geom's) name, with a suffix where it has several numbers.
        index: Into qpos, qvel or act; for a goal 3 * geom + axis.
        unit: SI; "1" for a plain number.
        low: Lower bound in `unit`; the state saturates here.
        high: Upper bound.
        group: Which joint, object or goal the number belongs to.
        meaning: A few words for the documentation.
    """

    kind: Kind
    name: str
    index: int
    unit: str
    low: float
    high: float
    group: int
    meaning: str = ""

    @property
    def label(self) -> str:
        """The name as it stands in `state_names`, such as "qvel:slider [m/s]"."""
        return f"{self.kind}:{self.name} [{self.unit}]"


def coordinates_of(model: mujoco.MjModel, spec: TaskSpec) -> tuple[Coordinate, ...]:
    """Positions in joint order, then velocities, then activations, then goals.

    Raises:
        TaskError: The spec names a joint or geom that the model does not have.
    """
    joints = [model.joint(i).name or f"joint{i}" for i in range(model.njnt)]
    named = {*spec.omit, *spec.omit_position, *spec.omit_velocity}
    named |= {*spec.bounded_hinges, *spec.position_bounds, *spec.velocity_bounds}
    unknown = sorted(named - set(joints))
    if unknown:
        raise TaskError(f"spec of {spec.id}: expected joints out of {joints}, got {unknown}")
    groups = _groups(joints, spec)
    positions: list[Coordinate] = []
    velocities: list[Coordinate] = []
    for i, name in enumerate(joints):
        if name not in spec.omit:
            positions += _positions(model, i, name, spec, groups[name])
            if name not in spec.omit_velocity:
                velocities += _velocities(model, i, name, spec, groups[name])
    found = positions + velocities
    group = len(set(groups.values()))
    for i in range(model.na):
        found.append(_plain("act", f"{i}", i, "1", (-DEFAULT_POSITION_BOUND, DEFAULT_POSITION_BOUND), group + i))
    group += model.na
    for offset, (geom, bounds) in enumerate(spec.goals.items()):
        number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, geom)
        if number < 0:
            raise TaskError(f"spec of {spec.id}: expected the name of a geom, got {geom!r}")
        for axis in (0, 1):
            label = f"{geom}_{'xy'[axis]}"
            found.append(_plain("goal", label, 3 * number + axis, "m", bounds, group + offset, "placed at reset"))
    return _renumber(found)


def _groups(joints: list[str], spec: TaskSpec) -> dict[str, int]:
    leader = {name: together[0] for together in spec.objects for name in together}
    order: dict[str, int] = {}
    return {name: order.setdefault(leader.get(name, name), len(order)) for name in joints}


def _renumber(found: list[Coordinate]) -> tuple[Coordinate, ...]:
    order: dict[int, int] = {}
    return tuple(
        Coordinate(
            kind=c.kind,
            name=c.name,
            index=c.index,
            unit=c.unit,
            low=c.low,
            high=c.high,
            group=order.setdefault(c.group, len(order)),
            meaning=c.meaning,
        )
        for c in found
    )


def _plain(kind: Kind, name: str, index: int, unit: str, bound: Bound, group: int, meaning: str = "") -> Coordinate:
    return Coordinate(
        kind=kind, name=name, index=index, unit=unit, low=bound[0], high=bound[1], group=group, meaning=meaning
    )


def _positions(model: mujoco.MjModel, i: int, name: str, spec: TaskSpec, group: int) -> list[Coordinate]:
    kind, at, meaning = mujoco.mjtJoint(model.jnt_type[i]), int(model.jnt_qposadr[i]), spec.meaning.get(name, "")
    wide = (-DEFAULT_POSITION_BOUND, DEFAULT_POSITION_BOUND)
    if kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL):
        found = []
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            for axis in range(2 if name in spec.omit_position else 0, 3):
                bound = spec.position_bounds.get(name, wide) if axis == 2 else wide
                found.append(_plain("qpos", f"{name}.{'xyz'[axis]}", at + axis, "m", bound, group, meaning))
            at += 3
        return found + [
            _plain("qpos", f"{name}.q{'wxyz'[k]}", at + k, "1", (-1.0, 1.0), group, "unit quaternion") for k in range(4)
        ]
    if name in spec.omit_position:
        return []
    hinge = kind == mujoco.mjtJoint.mjJNT_HINGE
    unit = "rad" if hinge else "m"
    low, high = (float(limit) for limit in model.jnt_range[i])
    nearly_round = hinge and high - low > NEARLY_ROUND  # both ends look alike: continuous only as an angle on a circle
    if model.jnt_limited[i] and name not in spec.position_bounds and not nearly_round:
        margin = SOFT_HINGE if hinge else max(SOFT_SLIDE * (high - low), 0.05)
        return [_plain("qpos", name, at, unit, (low - margin, high + margin), group, meaning)]
    if hinge and name in spec.bounded_hinges:
        return [_plain("qpos", name, at, unit, spec.bounded_hinges[name], group, meaning)]
    if hinge and name not in spec.position_bounds:
        return [
            _plain("cos", name, at, "1", (-1.0, 1.0), group, meaning),
            _plain("sin", name, at, "1", (-1.0, 1.0), group, meaning),
        ]
    return [_plain("qpos", name, at, unit, spec.position_bounds.get(name, wide), group, meaning)]


def _velocities(model: mujoco.MjModel, i: int, name: str, spec: TaskSpec, group: int) -> list[Coordinate]:
    kind, at = mujoco.mjtJoint(model.jnt_type[i]), int(model.jnt_dofadr[i])
    limit = spec.velocity_bounds.get(name, spec.default_velocity_bound)
    bound, meaning = (-limit, limit), spec.meaning.get(name, "") if name in spec.omit_position else ""
    if kind == mujoco.mjtJoint.mjJNT_FREE:
        linear = [
            _plain("qvel", f"{name}.v{a}", at + k, "m/s", bound, group, "world frame") for k, a in enumerate("xyz")
        ]
        at += 3
    else:
        linear = []
    if kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL):
        return linear + [
            _plain("qvel", f"{name}.w{a}", at + k, "rad/s", bound, group, "body frame") for k, a in enumerate("xyz")
        ]
    unit = "rad/s" if kind == mujoco.mjtJoint.mjJNT_HINGE else "m/s"
    return [_plain("qvel", name, at, unit, bound, group, meaning)]


class StateReader:
    """Reads the coordinates out of a simulation, as float32 within their bounds.

    Args:
        model: The model that the coordinates came from.
        coordinates: As `coordinates_of` returns them.
    """

    def __init__(self, model: mujoco.MjModel, coordinates: tuple[Coordinate, ...]) -> None:
        start = {"qpos": 0, "cos": model.nq, "sin": 2 * model.nq, "qvel": 3 * model.nq}
        start["act"] = start["qvel"] + model.nv
        start["goal"] = start["act"] + model.na
        self._wraps = any(c.kind in ("cos", "sin") for c in coordinates)
        self._index = np.array([start[c.kind] + c.index for c in coordinates])
        self._raw = np.zeros(start["goal"] + 3 * model.ngeom)
        self._slots = start
        self._has_goals = any(c.kind == "goal" for c in coordinates)
        self.low = np.array([c.low for c in coordinates], np.float32)
        self.high = np.array([c.high for c in coordinates], np.float32)

    def read(self, data: mujoco.MjData) -> NDArray[np.float32]:
        """The state (S,); a number outside its bounds is cut to them."""
        raw, slots = self._raw, self._slots
        raw[: slots["cos"]] = data.qpos
        if self._wraps:
            np.cos(data.qpos, out=raw[slots["cos"] : slots["sin"]])
            np.sin(data.qpos, out=raw[slots["sin"] : slots["qvel"]])
        raw[slots["qvel"] : slots["act"]] = data.qvel
        raw[slots["act"] : slots["goal"]] = data.act
        if self._has_goals:
            raw[slots["goal"] :] = data.geom_xpos.ravel()
        state = raw[self._index].astype(np.float32)
        return np.clip(state, self.low, self.high, out=state)
