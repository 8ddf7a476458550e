"""The options of `wmenv align`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from wmenv import InputError, ranges

Method = Literal["rlpf", "binary", "grpo", "random", "dpo", "filter", "supervised"]
EACH = 4  # starts out of one dream
METHODS: tuple[Method, ...] = ("rlpf", "binary", "grpo", "random", "dpo", "filter", "supervised")


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignConfig:
    """How a generator is tuned.

    Attributes:
        method: "rlpf": PPO on the verifier's reward of every frame. The others are what it is compared with, at the
            same number of graded dreams: "binary" PPO on one word a clip (could it be real?), "grpo" groups of dreams
            from one start instead of a critic, "random" PPO on noise, "dpo" preferences between the best and the worst
            dream of a group, "filter" supervised on the best-graded dreams, "supervised" more of the supervised
            training on real data.
        updates: Rounds of dreaming, grading and learning.
        starts: Dreams of a round that begin differently.
        group: Dreams from each start, driven alike; they are compared with each other, frame by frame, or for "grpo" as
            a whole.
        lead: A start lies up to so many frames within a dream that began where a real episode was.
        frames: T, frames of a dream that are judged.
        denoise_steps: S, of each frame; None for the model's own number.
        recorded_share, random_share, policy_share: Of the dreams, driven by recorded actions, random ones, a policy.
        epochs, minibatches: Passes over a round's dreams, and parts that each is cut into. With one step a round
            more rounds fit into as many dreams, which taught Reacher more (docs/alignment.md).
        learning_rate: Of the generator at the start, for a model that errs by one usual change of a latent; in
            proportion to the given model's error, less for networks larger than the study's (see optimizer.py), and
            falling linearly to 0.
        critic_rate: Of the critic and of the noise's size.
        gamma: Discount per frame.
        trace: Lambda of generalised advantage estimation.
        denoise_discount: How much less an early denoising step counts than the next.
        clip: Of the normalised probability ratio.
        exploration: "bounded": noise whose size is learned between bounds (ReinFlow). "flow": that of the flow's own
            stochastic differential equation (Flow-GRPO), for two denoising steps or more.
        noise_low, noise_high: Bounds of the exploration's standard deviation, in units of the given model's error; the
            last step of "flow" has the lower one.
        reference_weight: Of the divergence from the model that was given, per number of a latent.
        real_weight: Of the supervised loss on real data, which is learned along; its gradient is some thousand times
            smaller than the policy's, whose choices are small beside a latent's change.
        real_rows, real_frames: Clips of real data a step.
        noise: Errors that a dream's states may have beyond those that the recording has, in spreads of real states.
            What a frame may err, it errs the same way in every frame: errors of 0.003 a step let dreams drift.
        worlds: K, worlds around the identified one, most of which must object.
        world_spread: How far apart they are, as a logarithm of each multiplier.
        beta: Of "dpo": how much a preference counts beside staying with the given model.
        best: Share of the best-graded dreams that "filter" learns from.
        max_grad_norm: Gradient clip.
        gate: The held-out real loss may rise by this share of the least that it was; beyond it an update is taken back.
        energy_floor: Least motion energy of dreams in units of real clips'.
        sensitivity_floor: Least action sensitivity in units of the given model's.
        check_every: Updates between two looks at the guards.
    """

    method: Method = "rlpf"
    updates: int = 240
    starts: int = 64
    group: int = 8
    lead: int = 24
    frames: int = 1
    denoise_steps: int | None = None
    recorded_share: float = 0.5
    random_share: float = 0.5
    policy_share: float = 0.0
    epochs: int = 1
    minibatches: int = 1
    learning_rate: float = 3.5e-3
    critic_rate: float = 1e-3
    gamma: float = 0.0
    trace: float = 0.9
    denoise_discount: float = 0.99
    clip: float = 0.2
    exploration: Literal["bounded", "flow"] = "bounded"
    noise_low: float = 0.05
    noise_high: float = 0.2
    reference_weight: float = 0.0
    real_weight: float = 1000.0
    real_rows: int = 32
    real_frames: int = 8
    noise: float = 0.0
    worlds: int = 4
    world_spread: float = 0.05
    beta: float = 1.0
    best: float = 0.25
    max_grad_norm: float = 1.0
    gate: float = 0.02
    energy_floor: float = 0.9
    sensitivity_floor: float = 0.8
    check_every: int = 10

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            InputError: A field is out of range.
        """
        if self.method not in METHODS:
            raise InputError(f"method: expected one of {', '.join(METHODS)}, got {self.method!r}")
        if self.exploration not in ("bounded", "flow"):
            raise InputError(f"exploration: expected 'bounded' or 'flow', got {self.exploration!r}")
        for name, least in _WHOLE.items():
            if name != "denoise_steps" or self.denoise_steps is not None:
                ranges.check_whole(name, getattr(self, name), least)
        for name, (low, high) in _NUMBERS.items():
            ranges.check_number(name, getattr(self, name), low, high)
        if self.recorded_share + self.random_share + self.policy_share <= 0:
            raise InputError("recorded_share, random_share, policy_share: expected some above 0, got 0; who is to act?")
        if self.noise_low > self.noise_high:
            raise InputError(f"noise_low: expected at most noise_high = {self.noise_high}, got {self.noise_low}")
        if self.method == "dpo" and self.group < 2:
            raise InputError(f"group: expected at least 2 for method 'dpo', which compares dreams, got {self.group}")
        if self.lead and self.starts % EACH:
            raise InputError(f"starts: expected a multiple of {EACH}, which come out of one dream, got {self.starts}")


_WHOLE = {
    "updates": 1, "starts": 1, "group": 1, "lead": 0, "frames": 1, "denoise_steps": 1, "epochs": 1, "minibatches": 1,
    "real_rows": 1, "real_frames": 2, "worlds": 1, "check_every": 1,
}  # fmt: skip
_NUMBERS = {
    "recorded_share": (0, math.inf), "random_share": (0, math.inf), "policy_share": (0, math.inf),
    "learning_rate": (0, 1), "critic_rate": (0, 1), "gamma": (0, 1), "trace": (0, 1),
    "denoise_discount": (0, 1), "clip": (1e-6, 10),
    "noise_low": (1e-6, 10), "noise_high": (1e-6, 10), "reference_weight": (0, math.inf),
    "real_weight": (0, math.inf), "noise": (0, 1), "world_spread": (0, 1), "beta": (1e-6, math.inf), "best": (1e-3, 1),
    "max_grad_norm": (1e-12, math.inf), "gate": (0, math.inf), "energy_floor": (0, 1), "sensitivity_floor": (0, 1),
}  # fmt: skip
