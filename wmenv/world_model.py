"""The world model: a tokenizer, a dynamics, two heads, and recorded contexts from which a dream can begin.

Five verbs: `start` a dream from a recorded context, `step` it, `decode` what it shows, and on the real side
`encoder_reset` and `encoder_step`, which give real observations the form that dreams have.

# B envs, K starts, W window, P = W + 1 context, H history, N tokens, C channels, A action size, S denoising steps
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .cache import FrameCache, copy_cache
from .checkpoint import CONFIG, WEIGHTS, load_tensors
from .config import WorldModelConfig
from .dynamics import Due, Dynamics, DynamicsConfig, NextFrame, remember
from .errors import CheckpointError, InputError
from .heads import TransitionHeads
from .model_files import read_model, write_model
from .sampling import denoise
from .tokenizers import StateTokenizer, build_tokenizer, change_of_latents
from .types import LATENT_BOUND, DreamState, EncoderState, LazyState, State, StepOutput, gather_rows

Sampler = Callable[[NextFrame, Tensor, Tensor], Tensor]
"""Makes the next latent (B, N, C) out of a begun frame, the last latent and noise (B, S, N, C)."""

PAGES_LIMIT = 256 * 2**20  # bytes of prefilled start caches kept in memory


class WorldModel(nn.Module):
    """See the module's docstring. Made by `wmenv.train.train` or `from_pretrained`, not by hand.

    Example:
        >>> model = WorldModel.from_pretrained("runs/demo/model")  # doctest: +SKIP
        >>> state = model.start(torch.tensor([0, 1]))  # doctest: +SKIP
        >>> out = model.step(state, torch.zeros(2, 1), torch.randn(2, 1, *model.latent_shape))  # doctest: +SKIP
    """

    steps_in_place = True
    """`step` takes `consume=True`."""

    draws_once = True
    """`step` reads the first of its S draws of noise alone, unless a sampler of one's own reads more."""

    commits_lazily = True
    """There is `start_lazily`, and `step` takes its states."""

    def __init__(self, config: WorldModelConfig) -> None:
        super().__init__()
        self.config = config
        n, c, a = config.num_tokens, config.token_dim, config.action_dim
        self.tokenizer = build_tokenizer(config)
        self.dynamics = Dynamics(
            DynamicsConfig(
                num_tokens=n, token_dim=c, grid=self.tokenizer.grid, action_dim=a, width=config.width,
                depth=config.depth, heads=config.heads, window=config.window, any_step=config.any_step,
            )
        )  # fmt: skip
        self.heads = TransitionHeads(n, c, a, config.head_width)
        k, w = config.num_starts, self.context
        self.register_buffer("start_latents", torch.zeros(k, w, n, c))
        self.register_buffer("start_actions", torch.zeros(k, w, a))
        self.register_buffer("start_valid", torch.zeros(k, w, dtype=torch.bool))
        self.register_buffer("start_is_initial", torch.zeros(k, dtype=torch.bool))
        self.register_buffer("action_middle", torch.tensor(np.add(config.action_high, config.action_low) / 2).float())
        self.register_buffer(
            "action_half", torch.tensor(np.subtract(config.action_high, config.action_low) / 2).float()
        )
        self.start_latents: Tensor
        self.start_actions: Tensor
        self.start_valid: Tensor
        self.start_is_initial: Tensor
        self.action_middle: Tensor
        self.action_half: Tensor
        self._pages: DreamState | None = None
        self.version = 0  # counts changes of weights or starts; what was computed before is stale

    @property
    def num_starts(self) -> int:
        """K, recorded contexts to begin from."""
        return self.config.num_starts

    @property
    def context(self) -> int:
        """W + 1, latents of a start context: as many as a frame sees, and one before them.

        Of that one only the change to the next is wanted; its own is not known, so that no dream should see it.
        """
        return self.config.window + 1

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(N, C) of one latent frame."""
        return self.config.num_tokens, self.config.token_dim

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return self.start_latents.device

    # ---- dreaming

    @torch.no_grad()
    def start(self, index: Tensor) -> DreamState:
        """Dreams that stand at the end of recorded contexts.

        Args:
            index: (B,) long in [0, K).

        Returns:
            The dreams' states; nothing of the model is shared with them.

        Raises:
            InputError: an index is out of range.
        """
        self.check_index(index)
        if self._pages is None:
            row_bytes = 8 * self.config.depth * (self.config.window + 1) * self.config.num_tokens * self.config.width
            if row_bytes * self.num_starts > PAGES_LIMIT:
                return self._prefill(index)
            self._pages = self._prefill(torch.arange(self.num_starts, device=self.device))
        return gather_rows(index, self._pages)

    def start_lazily(self, index: Tensor) -> LazyState:
        """The same dreams, whose next steps compute the keys and values of the frame before on their way.

        Raises:
            InputError: an index is out of range.
        """
        return LazyState(*self.start(index), self.start_latents[index, -2], self.start_actions[index, -1])

    @torch.no_grad()
    def start_from(self, latents: Tensor, actions: Tensor, valid: Tensor) -> DreamState:
        """Dreams that stand at the end of contexts of your own.

        Args:
            latents: (B, P, N, C) unit-scale latents, P >= H; before an episode began, its first latent repeated.
            actions: (B, P, A) in [-1, 1], the action that led to each.
            valid: (B, P) bool, False before the episode began.

        Raises:
            InputError: a context is shorter than H.
        """
        if latents.shape[1] < self.config.history:
            raise InputError(
                f"latents: expected at least history = {self.config.history} frames, got {latents.shape[1]}"
            )
        return DreamState(*remember(self.dynamics, latents, actions, valid), latents[:, -self.config.history :].clone())

    @torch.no_grad()
    def step(
        self,
        state: DreamState | LazyState,
        action: Tensor,
        noise: Tensor,
        *,
        consume: bool = False,
        sampler: Sampler = denoise,
    ) -> StepOutput:
        """Dream one control step of every row.

        Args:
            state: as `start`, `start_lazily` or the last `step` returned it; left as it is, unless it is consumed.
            action: (B, A) float32 in the task's own units; clipped to the task's action box, as its motors do.
            noise: (B, S, N, C) standard normal; S denoising steps are made.
            consume: write into `state`'s tensors instead of copies of them; `state` must then not be stepped again.
            sampler: makes the next latent out of the begun frame, the last latent and the noise, as `denoise` does.

        Returns:
            The new state, of the same kind, the reward (B,) and the probability of termination (B,).
        """
        action, before = self.unit_action(action), state.latents[:, -1].clone()
        cache = FrameCache(state.keys, state.values, state.cached, state.position)
        due = Due(state.base, before, state.action) if isinstance(state, LazyState) else None
        frame = NextFrame.begin(self.dynamics, cache if consume else copy_cache(cache), action, due)
        latents, reward, termination = self.imagine(frame, state.latents, action, noise, sampler)
        if due is None:
            cache = frame.commit(before, latents[:, -1], reward.new_zeros(1))
            return StepOutput(DreamState(*cache, latents), reward, termination)
        return StepOutput(LazyState(*frame.count(), latents, before, action), reward, termination)

    def imagine(
        self, frame: NextFrame, latents: Tensor, action: Tensor, noise: Tensor, sampler: Sampler = denoise
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What a begun frame becomes: the last H latents with it, reward (B,), probability of termination (B,).

        Args:
            frame: begun with `action`.
            latents: (B, H, N, C) before it.
            action: (B, A) in [-1, 1].
            noise: as in `step`.
            sampler: as in `step`.
        """
        return self.arrive(latents, action, sampler(frame, latents[:, -1], noise))

    def arrive(self, latents: Tensor, action: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What a sampled latent (B, N, C) comes to; the other arguments and the outcome are those of `imagine`."""
        after = self.tokenizer.project(after).clamp(-LATENT_BOUND, LATENT_BOUND)
        reward, termination = self.heads.read(latents[:, -1], after, action)
        return torch.cat((latents[:, 1:], after.unsqueeze(1)), dim=1), reward, termination

    def latent_observation(self, state: State) -> Tensor:
        """The last H latents, oldest first, as (B, H * N * C) within +-LATENT_BOUND."""
        return state.latents.flatten(1).clamp(-LATENT_BOUND, LATENT_BOUND)

    @torch.no_grad()
    def decode(self, state: State) -> Tensor:
        """What the dream shows now: uint8 frames (B, size, size, 3), or states (B, state_dim) in SI units."""
        if isinstance(self.tokenizer, StateTokenizer):
            return self.tokenizer.decode(state.latents[:, -1])
        return self.tokenizer.decode(state.latents)[:, -1]

    # ---- the real side

    @torch.no_grad()
    def encoder_reset(self, obs: Tensor) -> EncoderState:
        """A streaming encoder that has seen the first observation of each row, (B, ...) frames or states."""
        memory, latent = self.tokenizer.stream_start(obs)
        return EncoderState(memory, latent.unsqueeze(1).expand(-1, self.config.history, -1, -1).clone())

    @torch.no_grad()
    def encoder_step(self, state: EncoderState, obs: Tensor) -> EncoderState:
        """The encoder after one more observation of each row."""
        memory, latent = self.tokenizer.stream_step(state.memory, obs)
        return EncoderState(memory, torch.cat((state.latents[:, 1:], latent.unsqueeze(1)), dim=1))

    def encoder_observation(self, state: EncoderState) -> Tensor:
        """The same (B, H * N * C) that a dream standing there shows."""
        return state.latents.flatten(1).clamp(-LATENT_BOUND, LATENT_BOUND)

    def latents_of(self, other: WorldModel) -> tuple[Tensor, Tensor]:
        """How the latents of `other`, a model of the same task and sizes, are had from this one's.

        Returns:
            gain and shift, each (N, C), on the CPU: z_other = gain * z + shift. For states they are exact; the latents
            of a frame model that was trained on from another were held to that one's: gain 1 and shift 0.

        Raises:
            InputError: the models read different things or differ in size, or are frame models of separate trainings.
        """
        if self.config.modality != other.config.modality or self.latent_shape != other.latent_shape:
            raise InputError(
                f"model: expected latents {other.latent_shape} from {other.config.modality}, "
                f"got {self.latent_shape} from {self.config.modality}; use models of the same preset and modality"
            )
        return change_of_latents(self.tokenizer, other.tokenizer)

    # ---- on disk

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model.safetensors, config.json with its digest, and a model card.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        write_model(Path(folder), self.config, self.state_dict())

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> WorldModel:
        """Read what `save_pretrained` wrote; on the CPU, ready to dream.

        Raises:
            CheckpointError: a file is missing, damaged or of another kind.
        """
        folder = Path(folder)
        config, tensors = read_model(folder)
        try:
            model = cls(config)
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(f"{folder / CONFIG}: sizes that make no model ({error}); restore it") from error
        load_tensors(model, tensors, folder / WEIGHTS)
        return model.eval().requires_grad_(False)

    # ---- inside

    def unit_action(self, action: Tensor) -> Tensor:
        """Actions of the task (..., A) in [-1, 1]."""
        return ((action - self.action_middle) / self.action_half).clamp(-1, 1)

    def set_starts(self, latents: Tensor, actions: Tensor, valid: Tensor, initial: Tensor) -> None:
        """Put in the recorded contexts: (K, P, N, C), (K, P, A) in [-1, 1], (K, P), (K,)."""
        for name, value in (("latents", latents), ("actions", actions), ("valid", valid), ("is_initial", initial)):
            getattr(self, f"start_{name}").copy_(value)
        self.forget_pages()

    def forget_pages(self) -> None:
        """Drop the start caches; for who has changed weights in place."""
        self._pages = None
        self.version += 1

    def check_index(self, index: Tensor) -> None:
        """Raise InputError unless all of `index` are recorded contexts."""
        if index.numel() and not (0 <= int(index.min()) and int(index.max()) < self.num_starts):
            raise InputError(
                f"index: expected 0 to {self.num_starts - 1}, got {int(index.min())} to {int(index.max())}"
            )

    def _prefill(self, index: Tensor) -> DreamState:
        return self.start_from(self.start_latents[index], self.start_actions[index], self.start_valid[index])

    def _apply(self, fn: Any, recurse: bool = True) -> WorldModel:
        self.forget_pages()  # they lie on the old device
        return super()._apply(fn, recurse)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As in torch; start caches that were computed with the old weights are dropped."""
        self.forget_pages()
        return super().load_state_dict(*args, **kwargs)
