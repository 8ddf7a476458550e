"""What a network says of a pose: positions as numbers that a picture determines, and back again.

A hinge that turns is its cosine and sine; a free body's attitude is two columns of its rotation matrix; where the
camera follows the robot, a place is the phase of the ground's pattern. Everything else is a plain number.

# N poses, P numbers of a code
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..drawing.camera import Camera
from ..mechanics.tangent import Tangent
from .attitude import continuous, matrix, quaternion
from .errors import EstimatorError

Array = NDArray[np.float64]
Kind = Literal["line", "turn", "phase", "attitude"]
NEARLY_ROUND = 0.9 * 2 * np.pi  # rad; both ends of such a range look alike
ALONG = 0.99  # cosine between a slide's axis and a tracked axis of the camera
WIDTHS = {"line": 1, "turn": 2, "phase": 2, "attitude": 6}
SMALLEST_SPREAD = 1e-6  # m or rad; a coordinate that moves less is constant


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One quantity of a code.

    Args:
        kind: "line" (value - middle) / scale; "turn" cosine and sine of 2 pi value / scale; "phase" the same of a
            place over the ground's pattern, known up to multiples of `scale`; "attitude" two columns of a matrix.
        index: First index into qpos of what is read.
        weights: The value is the sum of weights * qpos[indices], for patterns that run across two axes.
        middle: Of a line, m or rad.
        scale: Spread of a line, m or rad; period of a turn or a phase.
    """

    kind: Kind
    index: tuple[int, ...]
    weights: tuple[float, ...]
    middle: float = 0.0
    scale: float = 1.0


class PoseCode:
    """Turns positions (N, nq) into codes (N, P) and time series of codes into positions.

    Args:
        model: The robot.
        parts: As `parts_of` returns them.
    """

    def __init__(self, model: mujoco.MjModel, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self.nq = int(model.nq)
        self.size = sum(WIDTHS[part.kind] for part in self.parts)
        self._qpos0 = np.array(model.qpos0)
        self._limits = _limits(model)
        self._tangent = Tangent(model)
        ends = np.cumsum([WIDTHS[part.kind] for part in self.parts])
        self._slots = [slice(end - WIDTHS[part.kind], end) for part, end in zip(self.parts, ends, strict=True)]

    def encode(self, qpos: Array) -> NDArray[np.float32]:
        """The codes (N, P) of positions (N, nq)."""
        columns = []
        for part in self.parts:
            value = qpos[:, part.index] @ np.array(part.weights) if part.kind != "attitude" else None
            if value is None:
                columns.append(matrix(qpos[:, part.index])[..., :2].reshape(len(qpos), 6))
            elif part.kind == "line":
                columns.append(((value - part.middle) / part.scale)[:, None])
            else:
                angle = 2 * np.pi * value / part.scale
                columns.append(np.stack((np.cos(angle), np.sin(angle)), axis=-1))
        return np.concatenate(columns, axis=-1).astype(np.float32)

    def decode(self, code: Array) -> Array:
        """Positions (T, nq) of the codes (T, P) of successive frames; angles and phases go on without a jump."""
        qpos = np.tile(self._qpos0, (len(code), 1))
        rough = {part.index: self._line(code, k) for k, part in enumerate(self.parts) if part.kind == "line"}
        phases: list[tuple[Part, Array]] = []
        for part, slot in zip(self.parts, self._slots, strict=True):
            if part.kind == "attitude":
                qpos[:, part.index] = continuous(quaternion(code[:, slot]))
            elif part.kind == "line":
                qpos[:, part.index[0]] = rough[part.index]
            else:
                pair = code[:, slot]
                value = np.unwrap(np.arctan2(pair[:, 1], pair[:, 0])) * part.scale / (2 * np.pi)
                if part.kind == "turn":
                    qpos[:, part.index[0]] = self._branch(part, value)
                else:
                    phases.append((part, value))
        for part, value in phases:
            if part.index in rough:  # colours tell the period, the pattern tells the place within it
                turns = np.round(np.median(rough[part.index] - value) / part.scale)
                qpos[:, part.index[0]] = value + turns * part.scale
        _solve(qpos, [(part, value) for part, value in phases if part.index not in rough])
        return self._tangent.normalised(qpos)

    def periods(self, nv: int) -> Array:
        """By degree of freedom (nv,) the period within which a position is known; 0: it is known altogether."""
        out = np.zeros(nv)
        dof = {q: v for q, v in zip(*self._plain(), strict=True)}
        known = {part.index for part in self.parts if part.kind == "line"}
        for part in self.parts:
            if part.kind in ("turn", "phase") and part.index not in known:
                for q in part.index:
                    out[dof[q]] = part.scale
        return out

    def _plain(self) -> tuple[list[int], list[int]]:
        """Indices into qpos and qvel of all coordinates that are no quaternions."""
        width = {q: v for q, v in self._tangent.quaternions}
        plain_q, plain_v, q, v = [], [], 0, 0
        while q < self.nq:
            if q in width:
                q, v = q + 4, v + 3
            else:
                plain_q.append(q)
                plain_v.append(v)
                q, v = q + 1, v + 1
        return plain_q, plain_v

    def _line(self, code: Array, k: int) -> Array:
        return code[:, self._slots[k]][:, 0] * self.parts[k].scale + self.parts[k].middle

    def _branch(self, part: Part, value: Array) -> Array:
        """`value` shifted by whole turns: nearest to zero, or where it leaves the joint's range least."""
        low, high = self._limits.get(part.index[0], (-np.inf, np.inf))
        if np.isinf(low):
            return value - np.round(value[0] / part.scale) * part.scale
        shifted = value[:, None] + part.scale * np.arange(-3, 4)
        beyond = np.maximum(low - shifted, 0) + np.maximum(shifted - high, 0)
        return shifted[:, int(np.argmin(beyond.sum(0)))]

    def to_list(self) -> list[dict[str, Any]]:
        """The parts for JSON."""
        return [asdict(part) for part in self.parts]

    @classmethod
    def from_list(cls, model: mujoco.MjModel, parts: Any) -> PoseCode:
        """The code that `to_list` wrote.

        Raises:
            EstimatorError: It is not what `to_list` writes, or belongs to another robot.
        """
        try:
            made = [_part(values) for values in parts]
        except (TypeError, ValueError, KeyError) as error:
            raise EstimatorError(f"parts: expected what PoseCode.to_list wrote, got {parts!r:.80}: {error}") from error
        if not made or any(not 0 <= i < model.nq for part in made for i in part.index):
            raise EstimatorError(f"parts: expected indices into {model.nq} positions; the file is of another robot")
        return cls(model, made)


def parts_of(model: mujoco.MjModel, camera: Camera, qpos: Array) -> tuple[Part, ...]:
    """The parts of a robot's code; `qpos` (N, nq) are poses that set middles and spreads."""
    followed = _followed(model, camera)
    parts: list[Part] = []
    for joint in range(model.njnt):
        kind, at = mujoco.mjtJoint(model.jnt_type[joint]), int(model.jnt_qposadr[joint])
        places = range(at, at + 3) if kind == mujoco.mjtJoint.mjJNT_FREE else ()
        if kind == mujoco.mjtJoint.mjJNT_SLIDE:
            places = (at,)
        parts += [_line(i, qpos) for i in places if i not in followed]
        if kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL):
            first = at + len(places)
            parts.append(Part(kind="attitude", index=tuple(range(first, first + 4)), weights=(1.0,) * 4))
        if kind == mujoco.mjtJoint.mjJNT_HINGE:
            narrow = model.jnt_limited[joint] and np.ptp(model.jnt_range[joint]) < NEARLY_ROUND
            parts.append(_line(at, qpos) if narrow else Part(kind="turn", index=(at,), weights=(1.0,), scale=2 * np.pi))
    return (*parts, *_phases(camera, sorted(followed), qpos))


def _phases(camera: Camera, followed: list[int], qpos: Array) -> list[Part]:
    ground = camera.ground
    if ground is None:
        return []  # nothing in the picture says where a followed robot is
    if ground.depth and len(followed) == 2:
        # Light squares lie on two lattices, half a period apart on both axes: only sums and differences repeat.
        index = (followed[0], followed[1])
        return [Part(kind="phase", index=index, weights=(1.0, sign), scale=ground.period) for sign in (1.0, -1.0)]
    parts = [Part(kind="phase", index=(i,), weights=(1.0,), scale=ground.period) for i in followed]
    return [*(_line(i, qpos) for i in followed), *parts] if ground.ramp is not None else parts


def _followed(model: mujoco.MjModel, camera: Camera) -> set[int]:
    """Indices into qpos of the places that the camera follows."""
    if camera.track_body is None:
        return set()
    body, found = model.body(camera.track_body).id, set()
    for joint in range(int(model.body_jntadr[body]), int(model.body_jntadr[body]) + int(model.body_jntnum[body])):
        kind, at = mujoco.mjtJoint(model.jnt_type[joint]), int(model.jnt_qposadr[joint])
        for axis in camera.axes:
            if kind == mujoco.mjtJoint.mjJNT_FREE:
                found.add(at + axis)
            elif kind == mujoco.mjtJoint.mjJNT_SLIDE and abs(model.jnt_axis[joint, axis]) > ALONG:
                found.add(at)
    return found


def _line(index: int, qpos: Array) -> Part:
    spread = float(qpos[:, index].std())
    scale = spread if spread > SMALLEST_SPREAD else 1.0
    return Part(kind="line", index=(index,), weights=(1.0,), middle=float(qpos[:, index].mean()), scale=scale)


def _part(values: Mapping[str, Any]) -> Part:
    part = Part(
        kind=values["kind"],
        index=tuple(int(i) for i in values["index"]),
        weights=tuple(float(w) for w in values["weights"]),
        middle=float(values["middle"]),
        scale=float(values["scale"]),
    )
    if part.kind not in WIDTHS or not part.index or len(part.index) != len(part.weights) or not part.scale > 0:
        raise ValueError(f"{values!r}")
    return part


def _limits(model: mujoco.MjModel) -> dict[int, tuple[float, float]]:
    limited = [j for j in range(model.njnt) if model.jnt_limited[j]]
    return {int(model.jnt_qposadr[j]): (float(model.jnt_range[j, 0]), float(model.jnt_range[j, 1])) for j in limited}


def _solve(qpos: Array, phases: list[tuple[Part, Array]]) -> None:
    """Places from phases, in place: one phase gives one place, a sum and a difference give two."""
    for index in dict.fromkeys(part.index for part, _ in phases):
        rows = [(part.weights, value) for part, value in phases if part.index == index]
        weights, values = np.array([row[0] for row in rows]), np.stack([row[1] for row in rows])
        qpos[:, index] = np.linalg.solve(weights, values).T
