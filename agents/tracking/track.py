"""The learned motion tracker: PPO on real clips with DeepMimic's rewards, one policy per robot, proved on other clips.

Source: DeepMimic (Peng et al. 2018, arXiv 1804.02717); errors at which a clip is lost: PHC (arXiv 2305.06456),
BeyondMimic (arXiv 2508.08241), RLPF (arXiv 2506.12769).

# B clips, T frames, O features, U motors
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from physics import (
    ComputedTorque,
    MotionClip,
    Passive,
    Practice,
    SamplingMPC,
    Tracker,
    TrackResult,
    record_clips,
    track_clips,
)
from wmenv import atomic, ranges

from ..callbacks import ProgressCallback
from ..config import PPOConfig
from ..policy import Policy, PolicyConfig
from ..ppo import learn
from ..progress import Progress
from ..vec_env import SB3VecEnv
from .env import FEATURE_BOUND, Normaliser, TrackingVectorEnv
from .learned import LearnedTracker

TRACK_PPO = PPOConfig(
    num_envs=128,
    minibatches=16,
    epochs=5,
    learning_rate=1e-3,
    gamma=0.95,  # what matters lies within half a clip
    hidden=(128, 128),
    log_std_init=-1.0,
)
STEPS = 1_000_000  # of Hopper in less than ten minutes on one core
TRAIN_CLIPS, TRAIN_FRAMES, TRAIN_SEED = 512, 128, 1_000
TEST_CLIPS, TEST_FRAMES, TEST_SEED = 64, (32, 128), 1
COST = "cpu_ms_per_clip"
WARM_UP = 32  # random steps from which the features' spread is measured


def track(
    task: str,
    out: str | Path,
    steps: int = STEPS,
    *,
    seed: int = 0,
    residual: bool = False,
    config: PPOConfig | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Learns to follow real clips of a robot and measures that beside the trackers which need no training.

    Args:
        task: Id of the task.
        out: Folder; gets config.json, policy.safetensors (see `LearnedTracker.load`) and track.json.
        steps: Control steps to practise.
        seed: Of clips, weights and starts; the clips that are measured on are always the same, and others.
        residual: The policy's action is added to that of `ComputedTorque`, instead of standing alone.
        config: PPO's hyper-parameters; None for `TRACK_PPO`.
        progress: Told how far it is.

    Returns:
        The rows of track.json, one for each tracker and length of clips: see `summary` and `timed`.

    Raises:
        InputError: An argument is out of range.
        TaskError: There is no such task.
        TrainingError: A reward or a weight is not finite.
    """
    ranges.check_whole("steps", steps, 1)
    ranges.check_whole("seed", seed, 0)
    out = Path(out)
    begun = time.process_time()
    tracker, done = _train(task, steps, seed, residual, config or TRACK_PPO, progress)
    seconds = time.process_time() - begun
    tracker.save(out)
    rows = []
    for frames in TEST_FRAMES:
        clips = [clip.without_actions() for clip in record_clips(task, TEST_CLIPS, frames, seed=TEST_SEED)]
        for name, each in ({"learned": tracker} | rivals()).items():
            results, cost = timed(clips, each)
            rows.append({"tracker": name, "clips": len(clips), "frames": frames, **summary(results), COST: cost})
    about = {"task": task, "steps": done, "seed": seed, "residual": residual, "train_cpu_seconds": round(seconds, 1)}
    atomic.write_json(out / "track.json", {**about, "rows": rows})
    return rows


def rivals() -> dict[str, Tracker]:
    """The trackers that need no training, by name; "passive" is the floor."""
    return {"computed torque": ComputedTorque(), "sampling MPC": SamplingMPC(), "passive": Passive()}


def timed(clips: Sequence[MotionClip], tracker: Tracker) -> tuple[list[TrackResult], float]:
    """What `track_clips` returns, and its cost in ms of processor time per clip."""
    begun = time.process_time()
    results = track_clips(clips, tracker)
    return results, round((time.process_time() - begun) / len(clips) * 1e3, 2)


def summary(results: Sequence[TrackResult]) -> dict[str, float]:
    """How well clips of one length were followed.

    Returns:
        `success_025` and `success_05`, the fractions that never are beyond 0.25 m and 0.5 m on average over bodies,
        `error_mean` and `error_max_median`, m, and `score` in [0, 1].
    """
    position = np.stack([result.position_error for result in results])
    return {
        "success_025": float(np.mean([result.failed_at_025 is None for result in results])),
        "success_05": float(np.mean([result.failed_at_05 is None for result in results])),
        "error_mean": round(float(position.mean()), 5),
        "error_max_median": round(float(np.median(position.max(axis=1))), 5),
        "score": round(float(np.mean([result.score for result in results])), 4),
    }


def _train(
    task: str, steps: int, seed: int, residual: bool, config: PPOConfig, progress: Progress | None
) -> tuple[LearnedTracker, int]:
    base = ComputedTorque(rounds=1) if residual else None
    clips = record_clips(task, TRAIN_CLIPS, TRAIN_FRAMES, seed=TRAIN_SEED + seed)
    practice = Practice(clips, config.num_envs, base=base, seed=seed)
    normaliser = Normaliser.measure(practice, WARM_UP, seed)
    policy = Policy(_policy_config(practice, config, steps, seed), seed=seed)
    with torch.no_grad():
        policy.network.action_net.weight.mul_(0.1)  # begins near the middle, which in a residual is `base` itself
    env = SB3VecEnv(TrackingVectorEnv(practice, config.num_envs, normaliser))
    callbacks = [] if progress is None else [ProgressCallback(progress, steps)]
    done = learn(policy, env, steps, config, seed=seed, callbacks=callbacks)
    policy.config = replace(policy.config, steps=done)
    return LearnedTracker(policy=policy, normaliser=normaliser, base=base), done


def _policy_config(practice: Practice, config: PPOConfig, steps: int, seed: int) -> PolicyConfig:
    return PolicyConfig(
        task=practice.m.task,
        observation_dim=practice.features.size,
        observation_bound=FEATURE_BOUND,
        action_low=tuple(practice.m.low.tolist()),
        action_high=tuple(practice.m.high.tolist()),
        steps=steps,
        trained_on="real",
        seed=seed,
        **config.policy_fields(),
    )
