"""Makes an estimator of a task out of nothing but the task: records clips, draws them, trains, calibrates, measures.

# N frames, T frames of a clip, V degrees of freedom
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from ..clips.clip import MotionClip
from ..clips.real import record_clips
from .codes import PoseCode, parts_of
from .colours import ColourMoments, ground_of
from .errors import EstimatorError
from .estimator import StateEstimator
from .held_out import Film, measure, unseen
from .motion import fit_filter
from .readers import Reader, read_all
from .scenes import Scene, spread_poses
from .training import Fit, disturbed, fit_reader

Array = NDArray[np.float64]
TRAIN_FRAMES = 96  # of a clip for the networks
CLIP_FRAMES = 32  # of a clip that fits the filter or measures errors
BACKGROUND_FRAMES = 400
CHUNK = 1024
SHARES = (0.6, 0.5)  # of clips: how many more fit the filter, and how many more measure errors


def train_estimator(
    task: str,
    out: str | Path | None = None,
    *,
    seed: int = 0,
    steps: int = 6000,
    clips: int = 150,
    poses: int = 20_000,
    members: int = 3,
) -> StateEstimator:
    """Trains an estimator on pictures of known states, half of them from recorded motions, half from drawn poses.

    Args:
        task: Id of the task.
        out: Folder to save it in; None: it is not saved.
        seed: The same seed gives the same estimator on the same machine.
        steps: Optimiser steps of each network.
        clips: Clips of 96 frames to train on; for the filter, the calibration and the errors there are others.
        poses: Poses beyond those of the clips.
        members: Networks.

    Raises:
        TaskError: There is no such task, or it cannot be drawn.
        EstimatorError: A number is out of range.
    """
    least = {"steps": 1, "clips": 4, "poses": 1, "members": 2}
    for name, value in (("steps", steps), ("clips", clips), ("poses", poses), ("members", members)):
        if not (isinstance(value, int) and value >= least[name]):
            raise EstimatorError(f"{name}: expected a whole number of at least {least[name]}, got {value!r}")
    rng = np.random.default_rng([seed, 0x73656573])
    with Scene(task) as scene:
        recorded = np.concatenate([clip.qpos for clip in record_clips(task, clips, TRAIN_FRAMES, seed=3 * seed)])
        qpos = np.concatenate((recorded, spread_poses(scene.model, recorded, poses, rng)))
        code = PoseCode(scene.model, parts_of(scene.model, scene.camera, qpos))
        some = qpos[rng.integers(len(qpos), size=BACKGROUND_FRAMES)]
        colours = ColourMoments(scene.colours(), ground_of(scene.draw(some, rng)))
        features = _features(scene, colours, qpos, rng)
        fitting, held = (
            film(scene, record_clips(task, max(int(share * clips), 2), CLIP_FRAMES, seed=3 * seed + k), rng)
            for k, share in enumerate(SHARES, start=1)
        )
        labels = np.tile(code.encode(qpos), (2, 1))
        fit = Fit(steps=steps)
        readers = tuple(fit_reader(features, labels, fit, seed=seed * members + k) for k in range(members))
        estimator = _calibrated(task, scene.model, colours, readers, code, fitting)
        estimator.held_out = measure(estimator, held)
        estimator.unseen = unseen(estimator.held_out, code.periods(scene.model.nv))
    if out is not None:
        estimator.save(out)
    return estimator


def film(scene: Scene, clips: Sequence[MotionClip], rng: np.random.Generator) -> Film:
    """Draws every state of the clips."""
    return Film(list(clips), [scene.draw(clip.qpos, rng) for clip in clips])


def _features(scene: Scene, colours: ColourMoments, qpos: Array, rng: np.random.Generator) -> NDArray[np.float32]:
    """Features of every pose, first as it is drawn, then disturbed, (2 N, F)."""
    clean, wrong = [], []
    for at in range(0, len(qpos), CHUNK):
        frames = scene.draw(qpos[at : at + CHUNK], rng)
        clean.append(colours.read(frames))
        wrong.append(colours.read(disturbed(frames, rng)))
    return np.concatenate(clean + wrong)


def _calibrated(
    task: str,
    model: mujoco.MjModel,
    colours: ColourMoments,
    readers: tuple[Reader, ...],
    code: PoseCode,
    fitting: Film,
) -> StateEstimator:
    """An estimator whose filter and scale come from clips that no network was trained on."""
    read, spreads = [], []
    for frames in fitting.frames:
        mean, spread = read_all(readers, colours.read(frames))
        read.append(code.decode(mean))
        spreads.append(spread)
    truth = [clip.qpos for clip in fitting.clips], [clip.qvel for clip in fitting.clips]
    motion = fit_filter(model, read, *truth, code.periods(model.nv))
    scale = float(np.percentile(np.concatenate(spreads), 95))
    return StateEstimator(task, colours=colours, readers=readers, code=code, motion=motion, scale=max(scale, 1e-9))
