"""The clip's own actions replayed from the clip's own states: does the motion follow from what was done?

Two readings of replays. `replay_errors` are the plain distances after H steps. `innovation` asks how surprising
that distance is: states read from a dream or a camera carry errors, which a robot in free flight hardly amplifies and a
foot that strikes the floor amplifies a lot. So every replay starts from several states as far from the clip's as those
errors are, and the distance is measured in units of the spread in which they end: the normalised innovation of
filtering (Bar-Shalom, Li and Kirubarajan 2001, Estimation with Applications to Tracking and Navigation, section 5.4),
whose square is 1 on average when the physics is right. `drift` is the same without what cancels: wrong gravity or mass
pushes always the same way.

# B clips, T frames, W windows, H control steps, K particles, nv degrees of freedom
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..clips.batch import ClipBatch
from ..mechanics.control_model import ControlModel
from ..mechanics.simulator import Simulator

Array = NDArray[np.float64]
HORIZONS = (1, 4, 8)  # control steps of plain replays
HORIZON = 8  # of those in units of errors
STRIDE = 2  # control steps between the starts of two windows of these: more of them find less
STRETCH = 32  # frames whose innovations are averaged to a drift, as many as calibration clips have
PARTICLES = 8
SEED = (0, 0x696E6E)  # of the particles' errors
SURPRISE = 10.0  # standard deviations; beyond it more says nothing
FARTHEST = 1e9  # a distance beyond this is one that overflows when it is squared often enough
ROWS = 4096  # simulated at once, so that memory stays bounded


class Noise(NamedTuple):
    """Standard deviations of the errors of a clip's states, and the spread of real states, all (nv,), SI."""

    qpos: Array
    qvel: Array
    qpos_spread: Array
    qvel_spread: Array


class Innovation(NamedTuple):
    """How far the clip is from its replays in units of what its errors explain."""

    z: Array  # (B, W, H, 2 nv), within +-SURPRISE
    starts: NDArray[np.int64]  # (W,) first frames of the windows
    diverged: NDArray[np.bool_]  # (B, W, H), no particle is left


def window_starts(frames: int, horizon: int, stride: int) -> NDArray[np.int64]:
    """First frames of windows that cover every step; the last one ends with the clip."""
    last = frames - 1 - min(horizon, frames - 1)
    return np.unique(np.append(np.arange(0, last + 1, stride), last))


def replay_errors(clips: ClipBatch, noise: Noise, model: ControlModel | None = None) -> dict[int, Array]:
    """Root mean square distances between clip and replay after each of `HORIZONS`, in units of real states' spread.

    The replays are in the robot's own world or that of `model`.

    The windows of a horizon lie side by side, so that a frame has the error of the window that ends at it or goes over
    it (the larger one of two where the last window is drawn in to end with the clip). A start from which several
    horizons begin is simulated once, for the longest, and no other step is: 71 control steps for a clip of 32 frames.

    Returns:
        Horizon -> (B, T). Clips shorter than a horizon are replayed as far as they go.
    """
    frames = clips.shape[1]
    length = {horizon: min(horizon, frames - 1) for horizon in HORIZONS}
    windows = {steps: window_starts(frames, steps, steps) for steps in sorted(length.values())}
    longest = {int(start): steps for steps, starts in windows.items() for start in starts}
    scale = np.concatenate((noise.qpos_spread, noise.qvel_spread))
    apart = np.zeros((clips.shape[0], frames, max(windows)))  # from each start, after each step
    for steps in windows:
        starts = np.array([start for start in sorted(longest) if longest[start] == steps], np.int64)
        if len(starts):
            residual, diverged = _residuals(clips, model or clips.m, starts, steps, None)
            with np.errstate(over="ignore"):
                far = np.sqrt(np.mean(np.square(residual[0] / scale), axis=-1))
            apart[:, starts, :steps] = np.where(diverged[0], SURPRISE, np.minimum(far, SURPRISE))
    return {
        horizon: spread_over(apart[:, windows[steps], steps - 1], windows[steps], steps, frames)
        for horizon, steps in length.items()
    }


def innovation(clips: ClipBatch, noise: Noise, model: ControlModel | None = None) -> Innovation:
    """Normalised innovations of all windows, in the robot's own world or that of `model`.

    The particles' errors come in pairs that cancel, and are the same for every clip, so that a clip's result does not
    depend on its neighbours.
    """
    horizon = min(HORIZON, clips.shape[1] - 1)
    starts = window_starts(clips.shape[1], horizon, STRIDE)
    nv = clips.tangent.nv
    half = np.random.default_rng(SEED).standard_normal((PARTICLES // 2, len(starts), 2 * nv))
    error = np.concatenate((half, -half)) * np.concatenate((noise.qpos, noise.qvel))
    residual, diverged = _residuals(clips, model or clips.m, starts, horizon, error)
    residual = np.where(diverged[..., None], 0.0, residual)
    left = np.maximum((~diverged).sum(0), 1)[..., None]
    mean = residual.sum(0) / left
    square = np.where(diverged[..., None], 0.0, np.square(residual - mean)).sum(0)
    variance = square / np.maximum(left - 1, 1)
    own = np.square(np.concatenate((noise.qpos, noise.qvel)))
    z = mean / np.sqrt(variance * (1 + 1 / left) + own)
    gone = diverged.all(0)
    z = np.where(gone[..., None], SURPRISE, np.clip(z, -SURPRISE, SURPRISE))
    return Innovation(z, starts, gone)


def innovation_square(found: Innovation, frames: int) -> Array:
    """Mean squared innovation (B, T) of the windows over each frame; about 1 where the physics is right."""
    square = np.mean(np.square(found.z), axis=-1)  # (B, W, H)
    total, count = np.zeros((len(square), frames)), np.zeros(frames)
    for w, start in enumerate(found.starts):
        at = slice(start + 1, start + 1 + square.shape[2])
        total[:, at] += square[:, w]
        count[at] += 1
    return total / np.maximum(count, 1)


def last_square(found: Innovation, frames: int) -> Array:
    """Mean squared innovation (B, T) at the windows' ends, where wrong physics has had time to show."""
    square = np.mean(np.square(found.z[:, :, -1]), axis=-1)
    return spread_over(square, found.starts, found.z.shape[2], frames)


def drift(found: Innovation, frames: int) -> Array:
    """Squared mean innovation (B, T) of as many windows as cover `STRETCH` frames, averaged over coordinates.

    Errors of the states cancel in the mean, wrong physics does not. The mean leaves out the first third of the windows'
    steps, in which wrong physics shows least, and is scaled so that it is about 1 where the physics is right and steps
    are independent.
    """
    horizon = found.z.shape[2]
    each = found.z[:, :, horizon // 3 :].mean(2)  # (B, W, 2 nv)
    windows = len(window_starts(min(STRETCH, frames), horizon, STRIDE))
    out = np.zeros((len(each), frames))
    for w, start in enumerate(found.starts):
        first = min(max(w - windows // 2, 0), max(len(found.starts) - windows, 0))
        group = each[:, first : first + windows]
        value = np.mean(np.square(group.mean(1)), axis=-1) * group.shape[1]
        at = slice(start + 1, start + 1 + horizon)
        out[:, at] = np.maximum(out[:, at], value[:, None])
    return out


def spread_over(values: Array, starts: NDArray[np.int64], horizon: int, frames: int) -> Array:
    """Values (B, W) of windows as (B, T): each frame after a window's first has the largest of those over it."""
    out = np.zeros((len(values), frames))
    for w, start in enumerate(starts):
        at = slice(start + 1, start + 1 + horizon)
        out[:, at] = np.maximum(out[:, at], values[:, w : w + 1])
    return out


def _residuals(
    clips: ClipBatch, model: ControlModel, starts: NDArray[np.int64], horizon: int, error: Array | None
) -> tuple[Array, NDArray[np.bool_]]:
    """Clip minus replay, (K, B, W, H, 2 nv), and where a replay diverged, (K, B, W, H); `error` is (K, W, 2 nv)."""
    assert clips.action is not None
    nv, (b, _) = clips.tangent.nv, clips.shape
    steps = starts[:, None] + np.arange(horizon)
    qpos, qvel, action = clips.qpos[:, starts], clips.qvel[:, starts], clips.action[:, steps]
    true_qpos, true_qvel = clips.qpos[:, steps + 1], clips.qvel[:, steps + 1]
    k = 1 if error is None else len(error)
    out = np.empty((k, b, len(starts), horizon, 2 * nv))
    diverged = np.empty(out.shape[:-1], bool)
    chunk = max(1, ROWS // (k * len(starts)))
    for first in range(0, b, chunk):
        part = slice(first, first + chunk)
        q = np.broadcast_to(qpos[part], (k, *qpos[part].shape))
        v = np.broadcast_to(qvel[part], (k, *qvel[part].shape))
        if error is not None:
            q, v = clips.tangent.shift(q, error[:, None, :, :nv]), v + error[:, None, :, nv:]
        rows = q.shape[:3]
        a = np.broadcast_to(action[part], (k, *action[part].shape))
        went = Simulator(model, int(np.prod(rows))).rollout(
            q.reshape(-1, q.shape[-1]), v.reshape(-1, nv), a.reshape(-1, horizon, a.shape[-1])
        )
        here = (*rows, horizon)
        out[:, part, ..., :nv] = clips.tangent.difference(went.qpos.reshape(*here, -1), true_qpos[part][None])
        out[:, part, ..., nv:] = true_qvel[part][None] - went.qvel.reshape(*here, -1)
        diverged[:, part] = went.diverged.reshape(here)
    return np.clip(out, -FARTHEST, FARTHEST), diverged
