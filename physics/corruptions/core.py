"""What every corruption is: named, seeded, graded, and silent where it does not apply."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..errors import ClipError
from ..mechanics.control_model import control_model
from .structure import Robot, robot_of

Array = NDArray[np.float64]
Generators = Sequence[np.random.Generator]
Batched = Callable[[list[MotionClip], Robot, Generators, float], list[MotionClip | None]]
Single = Callable[[MotionClip, Robot, np.random.Generator, float], MotionClip | None]


@dataclass(frozen=True, slots=True)
class Corruption:
    """A way for a motion to be wrong.

    Args:
        name: Its name; two corruptions of different names draw different random numbers from one seed.
        function: Takes clips of one task, its structure, a generator for each clip and the strength.
    """

    name: str
    function: Batched

    @property
    def about(self) -> str:
        """What it changes, in a sentence."""
        return (self.function.__doc__ or "").strip().splitlines()[0]

    def __call__(self, clips: Sequence[MotionClip], seed: int = 0, strength: float = 1.0) -> list[MotionClip | None]:
        """The corrupted clips.

        Args:
            clips: Of any tasks; those of one task may be mixed with each other.
            seed: The same seed, clips and strength give the same bits. Clip i draws its own numbers.
            strength: How far from real: 0 gives the clips back untouched, 1 is the size in the corruption's docstring.

        Returns:
            As many as `clips`; None where the corruption does not apply to that robot or clip, where a changed
            simulation diverges, and where the clip itself is not finite.

        Raises:
            ClipError: A clip does not fit its task, or the strength is not a finite number of at least 0.
        """
        if not (isinstance(strength, (int, float)) and np.isfinite(strength) and strength >= 0):
            raise ClipError(f"strength: expected a finite number of at least 0, got {strength!r}")
        if strength == 0:
            return list(clips)
        out: list[MotionClip | None] = [None] * len(clips)
        tasks: dict[str, list[int]] = {}
        for i, clip in enumerate(clips):
            tasks.setdefault(clip.task, []).append(i)
        for task, members in tasks.items():
            robot = robot_of(control_model(task))
            for i in members:
                check_fit(clips[i], robot)
            sound = [i for i in members if is_finite(clips[i])]
            rngs = [np.random.default_rng([seed, zlib.crc32(self.name.encode()), i]) for i in sound]
            found = self.function([clips[i] for i in sound], robot, rngs, float(strength))
            for i, corrupted in zip(sound, found, strict=True):
                out[i] = corrupted
        return out


def each(single: Single) -> Batched:
    """Makes a function of clips out of one of a single clip."""

    def batched(clips: list[MotionClip], robot: Robot, rngs: Generators, strength: float) -> list[MotionClip | None]:
        return [single(clip, robot, rng, strength) for clip, rng in zip(clips, rngs, strict=True)]

    batched.__name__, batched.__doc__ = single.__name__, single.__doc__
    return batched


def edited(
    clip: MotionClip, *, qpos: Array | None = None, qvel: Array | None = None, action: Array | None = None
) -> MotionClip:
    """The clip with some of its arrays replaced."""
    return MotionClip(
        task=clip.task,
        qpos=clip.qpos if qpos is None else qpos,
        qvel=clip.qvel if qvel is None else qvel,
        action=clip.action if action is None else action,
        world=clip.world,
    )


def moved(clip: MotionClip, robot: Robot, direction: Array, distance: float | Array, speed: float = 0.0) -> MotionClip:
    """The clip with the whole robot shifted by `distance`, one number or (T,) m, and `speed` m/s faster that way."""
    assert robot.base is not None, "nothing holds it"
    qpos, qvel = clip.qpos.copy(), clip.qvel.copy()
    robot.base.push(qpos, qvel, direction, distance, speed)
    return edited(clip, qpos=qpos, qvel=qvel)


def stands(clip: MotionClip, robot: Robot) -> bool:
    """Whether it is a robot that can be lifted, and on the ground in a quarter of the frames."""
    return robot.base is not None and bool(robot.base.reach(robot.up).any()) and robot.grounded(clip.qpos)


def middle_frame(clip: MotionClip, rng: np.random.Generator) -> int:
    """A frame in the middle third, never the first."""
    low = max(1, clip.frames // 3)
    return int(rng.integers(low, max(low + 1, 2 * clip.frames // 3)))


def is_finite(clip: MotionClip) -> bool:
    """Whether every number of a clip is."""
    arrays = [clip.qpos, clip.qvel] + ([] if clip.action is None else [clip.action])
    return all(bool(np.isfinite(a).all()) for a in arrays)


def check_fit(clip: MotionClip, robot: Robot) -> None:
    """Raises ClipError unless the clip's arrays are as wide as its task's."""
    model = robot.m.model
    for name, array, width in (
        ("qpos", clip.qpos, model.nq),
        ("qvel", clip.qvel, model.nv),
        ("action", clip.action, model.nu),
    ):
        if array is not None and array.shape[1] != width:
            raise ClipError(
                f"{name}: expected {width} columns for {clip.task}, got {array.shape[1]}; is it of another robot?"
            )
