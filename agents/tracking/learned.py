"""A learned tracker on disk and at work: what `physics.track_clips` accepts, out of a policy that PPO has trained.

# B clips, O features, U motors
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from physics import Ahead, ComputedTorque, Controller, ControlModel, Features
from wmenv import CheckpointError, InputError

from .. import policy_files
from ..policy import Policy, PolicyConfig
from .env import Normaliser

Array = NDArray[np.float64]
MEAN, STD = "features.mean", "features.std"


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedTracker:
    """Follows clips of the robot that it was trained on.

    Args:
        policy: Acts on normalised features.
        normaliser: Of the features.
        base: Its actions are added to the policy's; None: the policy acts alone.

    Example:
        >>> tracker = LearnedTracker.load("runs/track-hopper")  # doctest: +SKIP
        >>> results = physics.track_clips(clips, tracker)  # doctest: +SKIP
    """

    policy: Policy
    normaliser: Normaliser
    base: ComputedTorque | None = None

    @property
    def horizon(self) -> int:
        """Frames ahead that are read."""
        return Features.horizon

    def start(self, m: ControlModel, rows: int, threads: int = 0) -> Controller:
        """A run over `rows` clips.

        Raises:
            InputError: `m` is another robot.
        """
        if m.task != self.policy.config.task:
            raise InputError(f"task: expected clips of {self.policy.config.task}, got {m.task}; train a tracker for it")
        base = None if self.base is None else self.base.start(m, rows, threads)
        return _Run(self, m, base)

    def save(self, folder: str | Path) -> None:
        """Writes config.json and policy.safetensors; a kill leaves the old or the new one.

        Raises:
            OSError: The disk is full or read-only.
        """
        base = None if self.base is None else asdict(self.base)
        tensors = dict(self.policy.network.state_dict())
        tensors[MEAN], tensors[STD] = torch.from_numpy(self.normaliser.mean), torch.from_numpy(self.normaliser.std)
        policy_files.write(Path(folder), {**asdict(self.policy.config), "base": base}, tensors)

    @classmethod
    def load(cls, folder: str | Path) -> LearnedTracker:
        """Reads what `save` wrote; nothing in it is executed.

        Raises:
            CheckpointError: A file is missing, damaged or of another kind.
        """
        record, tensors = policy_files.read(Path(folder))
        try:
            mean, std = tensors.pop(MEAN).numpy(), tensors.pop(STD).numpy()
            policy = Policy(PolicyConfig(**_chosen(PolicyConfig, record)))
            policy.network.load_state_dict(tensors)
            base = None if record["base"] is None else ComputedTorque(**_chosen(ComputedTorque, record["base"]))
        except (KeyError, TypeError, InputError, RuntimeError) as error:
            raise CheckpointError(f"{folder}: expected a tracker as `wmenv track` writes it, got {error!r}") from error
        return cls(policy=policy, normaliser=Normaliser(mean, std), base=base)


class _Run:
    """A learned tracker at work on B clips; the network runs row by row, so that the others change no bit."""

    def __init__(self, tracker: LearnedTracker, m: ControlModel, base: Controller | None) -> None:
        self._features, self._normaliser, self._base = Features(m), tracker.normaliser, base
        self._middle, self._half = (m.low + m.high) / 2, (m.high - m.low) / 2
        network = tracker.policy.network
        self._activation = network.mlp_extractor.policy_net[1]
        linear = [layer for layer in network.mlp_extractor.policy_net if isinstance(layer, torch.nn.Linear)]
        self._layers = [
            (layer.weight.detach().double(), layer.bias.detach().double()) for layer in (*linear, network.action_net)
        ]

    def act(self, qpos: Array, qvel: Array, ahead: Ahead) -> Array:
        """Actions (B, U) from states (B, nq), (B, nv)."""
        seen = self._normaliser(self._features(qpos, qvel, ahead))
        residual = self._half * np.stack([self._mean(row) for row in seen])
        return residual + (self._middle if self._base is None else self._base.act(qpos, qvel, ahead))

    @torch.no_grad()
    def _mean(self, row: NDArray[np.float32]) -> Array:
        """The policy's mean action (U,), in units of half a motor's range."""
        x = torch.from_numpy(row).double()
        for weight, bias in self._layers[:-1]:
            x = self._activation(torch.mv(weight, x) + bias)
        weight, bias = self._layers[-1]
        return (torch.mv(weight, x) + bias).clamp(-1.0, 1.0).numpy()


def _chosen(kind: Any, record: Any) -> dict[str, Any]:
    names = {field.name for field in fields(kind) if field.init}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in record.items() if k in names}
