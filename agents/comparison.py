"""Dream and reality side by side: from the same start, with the same actions, and at what speed.

# T steps, W window, N tokens, C channels
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from wmenv import Episode, types

from .policy import Policy
from .real_env import RealObserver, make_task
from .report.dreams import Clip, Media, Trace
from .speed import DreamSteps, RealSteps, steps_a_second

if TYPE_CHECKING:
    from wmenv import WorldModel

CLIP_STEPS = 100
TRACES = 4
FILM_STEPS = 300


def dream_along(
    model: WorldModel, episode: Episode, *, begin: int = 0, steps: int = CLIP_STEPS, seed: int = 0
) -> NDArray[Any]:
    """What the model dreams from one moment of a real episode, given the actions that were taken then.

    Args:
        model: A world model of the episode's task.
        episode: Real; the model sees its observations up to `begin` and no later one.
        begin: Index of the last observation seen.
        steps: At most so many; fewer when the episode ends.
        seed: Of the dream's noise.

    Returns:
        Frames (T + 1, H, W, 3) uint8 or states (T + 1, S) in SI units, the common start first. Where the model says
        that the episode ends, they end: it has learned nothing of what would come after.
    """
    steps = min(steps, len(episode.action) - begin)
    generator = torch.Generator().manual_seed(seed)
    state = stand(model, episode, begin)
    shown = [model.decode(state)[0].cpu().numpy()]
    for action in torch.tensor(episode.action[begin : begin + steps], device=model.device):
        noise = torch.randn(1, model.config.denoise_steps, *model.latent_shape, generator=generator)
        step = model.step(state, action.unsqueeze(0), noise.to(model.device))
        state = step.state
        shown.append(model.decode(state)[0].cpu().numpy())
        if step.termination.item() > types.LIKELY_END:
            break
    return np.stack(shown)


def stand(model: WorldModel, episode: Episode, begin: int) -> Any:
    """A dream of one row that has seen the observations of `episode` up to `begin`, and the actions between them."""
    seen = episode.frames if model.config.modality == "frames" else episode.state
    assert seen is not None
    obs = torch.tensor(seen[: begin + 1], device=model.device)
    encoder = model.encoder_reset(obs[:1])
    latents = [encoder.latents[:, -1]]
    for step in range(1, begin + 1):
        encoder = model.encoder_step(encoder, obs[step : step + 1])
        latents.append(encoder.latents[:, -1])
    actions = model.unit_action(torch.tensor(episode.action[:begin], device=model.device))
    actions = torch.cat((torch.zeros(1, model.config.action_dim, device=model.device), actions))
    window = model.context
    missing = max(0, window - len(latents))
    context = torch.cat([latents[0]] * missing + latents[-window:])
    led = torch.cat((actions.new_zeros(missing, actions.shape[1]), actions[-window:]))
    valid = torch.arange(window, device=model.device) >= missing
    return model.start_from(context.unsqueeze(0), led.unsqueeze(0), valid.unsqueeze(0))


def heldout_media(
    model: WorldModel, policy: Policy, task: str, episodes: Sequence[Episode], *, seed: int = 10_000
) -> Media:
    """Films (or curves) for the report: two held-out episodes in reality and dream, and the policy at work.

    Args:
        model: The world model.
        policy: The trained policy; one of its episodes is filmed.
        task: Id of the real task.
        episodes: Held out; the longest is shown, beside a new one of the policy.
        seed: Of the policy's episode.
    """
    film = film_policy(policy, task, seed=seed)
    chosen = {id(episode): episode for episode in (film, *sorted(episodes, key=lambda e: -len(e.action))[:1])}
    captions = ("the actions of the trained policy", "an episode of the held-out recording")
    clips, traces = [], []
    for episode, caption in zip(chosen.values(), captions, strict=False):
        dreamed = dream_along(model, episode)
        if model.config.modality == "frames":
            assert episode.frames is not None
            clips.append(Clip(real=episode.frames[: CLIP_STEPS + 1], dreamed=dreamed, actions=caption))
        else:
            names = model.config.state_names[:TRACES]
            real = episode.state[: CLIP_STEPS + 1, :TRACES]
            traces.append(Trace(names=names, real=real, dreamed=dreamed[:, :TRACES], actions=caption))
    return Media(fps=model.config.fps, clips=clips, traces=traces, policy_film=film.frames)


def film_policy(policy: Policy, task: str, *, seed: int = 10_000, steps: int = FILM_STEPS) -> Episode:
    """One real episode of the policy's mean actions, cut after `steps`, with frames whatever the model reads."""
    env = make_task(task, policy.model)
    observer = RealObserver(policy.model, 1)
    row = np.zeros(1, np.int64)
    try:
        obs, info = env.reset(seed=seed)
        observer.begin(row, [obs])
        frames, states, actions, rewards = [_frame(env, obs)], [info["state"]], [], []
        qpos, qvel = [info["qpos"]], [info["qvel"]]
        terminated = truncated = False
        while len(actions) < steps and not (terminated or truncated):
            action = policy.act(observer.read(row))[0]
            obs, reward, terminated, truncated, info = env.step(action)
            observer.advance(row, [obs])
            frames.append(_frame(env, obs))
            states.append(info["state"])
            actions.append(action)
            rewards.append(float(reward))
            qpos.append(info["qpos"])
            qvel.append(info["qvel"])
    finally:
        env.close()
    return Episode(
        state=np.stack(states).astype(np.float32),
        frames=np.stack(frames),
        action=np.stack(actions).astype(np.float32),
        reward=np.asarray(rewards, np.float64),
        terminated=bool(terminated),
        truncated=bool(truncated),
        qpos=np.stack(qpos),
        qvel=np.stack(qvel),
        start_seed=seed,
    )


def measure_speed(task: str, model: WorldModel, *, num_dreams: int = 256, seconds: float = 3.0) -> dict[str, float]:
    """Steps a second of the real task with what the model reads (its camera, if it reads frames), and of dreams.

    Args:
        task: Id of the real task; as many processes step it as there are cores.
        model: Its world model; `num_dreams` latent dreams together.
        num_dreams: How many.
        seconds: Least time that each is measured.

    Returns:
        `real_camera_fps`, `dream_fps`, `ratio`, `num_dreams` and `real_processes`.
    """
    real = RealSteps(task, model)
    try:
        real_rate = steps_a_second(real.step, seconds)
    finally:
        real.close()
    dreams = DreamSteps(model, num_dreams)
    dream_rate = steps_a_second(dreams.step, seconds, warm_up=3)
    dreams.close()
    return {
        "real_camera_fps": real_rate,
        "dream_fps": dream_rate,
        "ratio": dream_rate / real_rate,
        "num_dreams": num_dreams,
        "real_processes": real.processes,
    }


def _frame(env: gym.Env, obs: NDArray[Any]) -> NDArray[np.uint8]:
    return obs if obs.dtype == np.uint8 else env.unwrapped.camera_frame()  # type: ignore[attr-defined]
