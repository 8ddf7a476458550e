"""Finds the world in which a data set was recorded, so that a verifier can be centred on it.

# T frames of a stretch
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from physics import Identified, MotionClip, World, identify
from wmenv import DataError, EpisodeStore, InputError, atomic

FRAMES = 33  # of a clip: four stretches of 8 control steps


def identify_data(
    data: str | Path,
    out: str | Path | None = None,
    *,
    parameters: Sequence[str] = ("mass", "friction", "damping", "gear"),
    start: World | None = None,
    clips: int = 128,
    threads: int = 0,
) -> Identified:
    """Fits a world to the recorded states and actions of a data set; frames and rewards are not looked at.

    Args:
        data: Folder of the data set.
        out: JSON file for the result, replaced if it is there; None: none. Infinite deviations are written as null.
        parameters: Multipliers to fit.
        start: Where to begin; None: the nominal world, whatever the data set says about its own.
        clips: Stretches of 32 steps to look at, at most, evenly out of the whole data set.
        threads: 0 for all cores. The result does not depend on it.

    Returns:
        The world, how sure it is, and the replay errors before and after.

    Raises:
        InputError: `clips` is not a whole number of at least 1, or `out` is a folder.
        DataError: The data set is missing, damaged, or none of its episodes is long enough.
        TaskError: The task is not one of physics, or a parameter is unknown.
        OSError: `out` cannot be written.
    """
    if not (isinstance(clips, int) and clips >= 1):
        raise InputError(f"clips: expected a whole number of at least 1, got {clips!r}")
    if out is not None and Path(out).is_dir():
        raise InputError(f"out: expected a file, got the folder {str(out)!r}; add a name such as world.json")
    store = EpisodeStore.open(data)
    task = store.info.task
    stretches = []
    for episode in store:
        for first in range(0, episode.num_steps - FRAMES + 2, FRAMES - 1):
            span = slice(first, first + FRAMES)
            action = episode.action[first : first + FRAMES - 1]
            stretches.append((episode.qpos[span], episode.qvel[span], action))
    if not stretches:
        raise DataError(f"{data}: expected an episode of at least {FRAMES - 1} steps, got none; record longer ones")
    chosen = np.unique(np.linspace(0, len(stretches) - 1, min(clips, len(stretches))).round().astype(int))
    made = [MotionClip(task=task, qpos=q, qvel=v, action=a) for q, v, a in (stretches[i] for i in chosen)]
    found = identify(made, task, parameters, start, threads=threads)
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        atomic.write_json(out, summary(found, task, len(made)))
    return found


def summary(found: Identified, task: str, clips: int) -> dict[str, Any]:
    """What `--out` holds; `World.from_dict` reads its "world", and `wmenv record --world` takes its numbers."""
    return {
        "task": task,
        "clips": clips,
        "windows": found.windows,
        "world": found.world.to_dict(),
        "start": found.start.to_dict(),
        "std": {name: value if math.isfinite(value) else None for name, value in found.std.items()},
        "undetermined": [list(group) for group in found.undetermined],
        "error_before": found.error_before,
        "error_after": found.error_after,
    }
