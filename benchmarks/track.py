"""Measures the motion trackers: do they keep to held-out real clips, and do they lose clips that no robot could follow?

`python -m benchmarks.track` writes benchmarks/track.json. Clips carry no actions here. A learned tracker of
`wmenv track` joins with `--learned FOLDER`.

# B clips, T frames
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from agents.tracking.learned import LearnedTracker
from agents.tracking.track import TEST_SEED, rivals, summary, timed
from physics import MotionClip, Tracker, record_clips, task_ids
from physics.mechanics.control_model import control_model

from .common import Value, write

CLIPS, FRAMES = 64, 32
LIFT = 0.3  # m


def spliced(clips: Sequence[MotionClip]) -> list[MotionClip]:
    """Every clip's first half, then the second half of the clip after it: a teleport of all coordinates."""
    half = clips[0].frames // 2
    return [
        MotionClip(
            task=a.task,
            qpos=np.concatenate((a.qpos[:half], b.qpos[half:])),
            qvel=np.concatenate((a.qvel[:half], b.qvel[half:])),
        )
        for a, b in zip(clips, [*clips[1:], clips[0]], strict=True)
    ]


def floating(clips: Sequence[MotionClip]) -> list[MotionClip]:
    """Every clip `LIFT` above where it happened; none where no robot can be lifted."""
    model = control_model(clips[0].task).model
    height = vertical(model)
    if height is None:
        return []
    lift = np.zeros(model.nq)
    lift[height] = LIFT
    return [MotionClip(task=clip.task, qpos=clip.qpos + lift, qvel=clip.qvel) for clip in clips]


def vertical(model: mujoco.MjModel) -> int | None:
    """Index into qpos of the height of a robot that stands on the ground; None for one that is fixed to it."""
    for joint in range(model.njnt):
        kind, at = mujoco.mjtJoint(model.jnt_type[joint]), int(model.jnt_qposadr[joint])
        rooted = model.body_parentid[model.jnt_bodyid[joint]] == 0 and not model.jnt_limited[joint]
        if kind == mujoco.mjtJoint.mjJNT_FREE and joint == 0:
            return at + 2
        if kind == mujoco.mjtJoint.mjJNT_SLIDE and rooted and abs(float(model.jnt_axis[joint][2])) > 0.9:
            return at
    return None


def auroc(real: NDArray[np.float64], edited: NDArray[np.float64]) -> float:
    """Chance that an edited clip has the larger error, ties counted half."""
    larger = (edited[:, None] > real[None]).mean()
    return float(larger + 0.5 * (edited[:, None] == real[None]).mean())


def measure(task: str, num: int, trackers: dict[str, Tracker]) -> list[dict[str, Value]]:
    """The rows of one task."""
    real = [clip.without_actions() for clip in record_clips(task, num, FRAMES, seed=TEST_SEED)]
    kinds = {"real": real, "spliced": spliced(real), "floating": floating(real)}
    rows: list[dict[str, Value]] = []
    for name, tracker in trackers.items():
        if isinstance(tracker, LearnedTracker) and tracker.policy.config.task != task:
            continue
        largest: dict[str, NDArray[np.float64]] = {}
        for kind, clips in kinds.items():
            if not clips:
                continue
            results, cost = timed(clips, tracker)
            largest[kind] = np.array([result.position_error.max() for result in results])
            rows.append(
                {
                    "task": task,
                    "clips_are": kind,
                    "tracker": name,
                    "clips": num,
                    "frames": FRAMES,
                    **summary(results),
                    "auroc": None if kind == "real" else auroc(largest["real"], largest[kind]),
                    "cpu_ms_per_clip": cost,
                }
            )
            sys.stdout.write(json.dumps(rows[-1]) + "\n")
            sys.stdout.flush()
    return rows


def main() -> None:
    """Measure every task, print a line for each row, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(task_ids()))
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--trackers", nargs="+", default=list(rivals()), choices=list(rivals()))
    parser.add_argument("--learned", nargs="*", default=[], type=Path, help="folders that `wmenv track` wrote")
    options = parser.parse_args()
    torch.set_num_threads(1)
    trackers: dict[str, Tracker] = {name: tracker for name, tracker in rivals().items() if name in options.trackers}
    for folder in options.learned:
        learned = LearnedTracker.load(folder)
        trackers[f"learned, {learned.policy.config.task}"] = learned
    rows = [row for task in options.tasks for row in measure(task, options.clips, trackers)]
    notes = (
        f"Held-out clips of {FRAMES} frames, without actions, followed in the nominal world. success: fraction whose "
        "mean body error is never beyond 0.25 m (PHC, BeyondMimic) or 0.5 m (RLPF). Spliced: second half of another "
        f"clip. Floating: {LIFT} m too high. auroc: of the largest error, against the real clips. 'passive' leaves the "
        "motors at rest: what a short clip gives away for nothing. cpu_ms_per_clip is processor time."
    )
    write("track", rows, notes=notes)


if __name__ == "__main__":
    main()
