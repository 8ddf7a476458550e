"""The dynamics: a block-causal diffusion transformer that predicts how a frame's latent differs from the one before.

What is generated is y_t = (z_t - z_{t-1}) / s, the change of the latent in units of its usual size s. A straight line
joins it to noise, y_tau = (1 - tau) y + tau eps (flow matching, arXiv 2210.02747; stochastic interpolants with a
data-dependent base, arXiv 2310.03725: the base is the frame before). The network answers with its estimate of y, so an
untrained one copies the last frame.

Each frame is there in two roles. As *context* it is what later frames look at; as *target* it is noise becoming a
frame. Targets see the contexts before them and themselves; contexts see the contexts before them and themselves. Both
roles have a noise level of their own per frame (diffusion forcing, arXiv 2407.01392).

An any-step network also reads how far it is to jump: from tau to a lower level r it answers with the y on whose line to
y_tau the flow stands at r (see `wmenv.objectives.jump`). A jump of length 0 is the estimate of y.

# B rows, F frames, N tokens per frame, C token channels, D width, A action size, W window, L layers
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

from .block import Block
from .rope import angles


@dataclass(frozen=True, kw_only=True, slots=True)
class DynamicsConfig:
    """Sizes of the dynamics.

    Attributes:
        num_tokens: N, tokens per frame.
        token_dim: C, channels per token.
        grid: rows and columns in which the N tokens lie, for rotary position; (N, 1) for state tokens.
        action_dim: A.
        width: D. depth: L blocks. heads: attention heads, a divisor of width.
        window: W, how many past frames a new frame sees.
        any_step: whether the network reads how far it is to jump.
    """

    num_tokens: int
    token_dim: int
    grid: tuple[int, int]
    action_dim: int
    width: int
    depth: int
    heads: int
    window: int
    any_step: bool = False

    def __post_init__(self) -> None:
        for name in ("num_tokens", "token_dim", "action_dim", "width", "depth", "heads", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected an integer >= 1, got {getattr(self, name)}; see wmenv.presets")
        if self.grid[0] * self.grid[1] != self.num_tokens:
            raise ValueError(f"grid: expected {self.num_tokens} places, got {self.grid[0]} x {self.grid[1]}")
        if self.width % (8 * self.heads):
            raise ValueError(f"width: expected a multiple of 8 * heads = {8 * self.heads}, got {self.width}")


class LevelEmbedding(nn.Module):
    """A noise level in [0, 1] and a role (context or target) as a vector of width D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequency", torch.pi * 2.0 ** torch.arange(6), persistent=False)
        self.frequency: Tensor
        self.mlp = wave_mlp(width)
        self.role = nn.Parameter(torch.randn(2, width) * 0.02)

    def forward(self, level: Tensor, *, target: bool) -> Tensor:
        """Level (...) -> (..., D)."""
        return self.mlp(waves(level, self.frequency)) + self.role[int(target)]


class JumpEmbedding(nn.Module):
    """The length of a jump, level - lower in [0, 1], as a vector of width D; zero until it is trained."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequency", torch.pi * 2.0 ** torch.arange(6), persistent=False)
        self.frequency: Tensor
        self.mlp = wave_mlp(width)
        nn.init.zeros_(self.mlp[-1].weight)
        nn.init.zeros_(self.mlp[-1].bias)

    def forward(self, length: Tensor) -> Tensor:
        """Length (...) -> (..., D)."""
        return self.mlp(waves(length, self.frequency))


def wave_mlp(width: int) -> nn.Sequential:
    """Turns 13 `waves` into a vector of `width`."""
    return nn.Sequential(nn.Linear(13, width), nn.SiLU(), nn.Linear(width, width))


def waves(number: Tensor, frequency: Tensor) -> Tensor:
    """A number in [0, 1] (...) with its sines and cosines at 6 frequencies, (..., 13)."""
    phase = number.unsqueeze(-1) * frequency
    return torch.cat((number.unsqueeze(-1), phase.sin(), phase.cos()), dim=-1)


class Dynamics(nn.Module):
    """Latents and actions in, the change of the next latent out. See the module's docstring."""

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        self.config = config
        n, c, d = config.num_tokens, config.token_dim, config.width
        self.embed = nn.Linear(2 * c, d)
        self.token = nn.Parameter(torch.randn(n, d) * 0.02)
        self.level = LevelEmbedding(d)
        self.jump = JumpEmbedding(d) if config.any_step else None
        self.action = nn.Sequential(nn.Linear(config.action_dim, d), nn.SiLU(), nn.Linear(d, d))
        self.blocks = nn.ModuleList(Block(d, config.heads) for _ in range(config.depth))
        self.final_modulation = nn.Linear(d, 2 * d)
        self.head = nn.Linear(d, c)
        for layer in (self.final_modulation, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("delta_scale", torch.ones(n, c))
        self.delta_scale: Tensor

    # ---- pieces that the parallel and the streaming form share

    def tokens(self, change: Tensor, latent: Tensor) -> Tensor:
        """Embedded tokens (B, F, N, D) of a change and the latent that it belongs to, each (B, F, N, C)."""
        return self.embed(torch.cat((change, latent), dim=-1)) + self.token

    def condition(self, action: Tensor, level: Tensor, *, target: bool, lower: Tensor | None = None) -> Tensor:
        """The condition (B, F, D) of frames reached by `action` (B, F, A) and held at noise `level` (B, F).

        For `lower` (B, F) see `aim`; contexts jump nowhere.
        """
        held = self.aim(level, lower) if target else self.level(level, target=False)
        return nn.functional.silu(self.action(action) + held)

    def aim(self, level: Tensor, lower: Tensor | None = None) -> Tensor:
        """What targets at noise `level` (...) add to their condition, (..., D).

        `lower` (...) is where an any-step network is to jump; None: nowhere. Other networks do not ask.
        """
        embedded = self.level(level, target=True)
        if self.jump is None:
            return embedded
        return embedded + self.jump(torch.zeros_like(level) if lower is None else level - lower)

    def angles(self, time: Tensor) -> Tensor:
        """Rotary angles (..., N, d / 2) of the frames at `time` (...)."""
        rows, columns = self.config.grid
        place = torch.arange(self.config.num_tokens, device=time.device)
        return angles(
            time.unsqueeze(-1).expand(*time.shape, len(place)),
            (place // columns).expand(*time.shape, -1),
            (place % columns).expand(*time.shape, -1),
            self.config.width // self.config.heads,
        )

    def answer(self, x: Tensor, condition: Tensor) -> Tensor:
        """The estimate of y (..., N, C) from the last block's tokens (..., N, D)."""
        shift, scale = self.final_modulation(condition).unsqueeze(-2).chunk(2, dim=-1)
        return self.head(rms_norm(x, x.shape[-1:]) * (1 + scale) + shift)

    # ---- parallel form: training, and clips under any noise schedule

    def forward(
        self,
        context: Tensor,
        context_level: Tensor,
        noised: Tensor,
        level: Tensor,
        action: Tensor,
        valid: Tensor,
        first: Tensor,
        lower: Tensor | None = None,
    ) -> Tensor:
        """Estimate y for every frame of a clip at once.

        Args:
            context: (B, F, N, C) latents as later frames see them.
            context_level: (B, F) their noise levels in [0, 1].
            noised: (B, F, N, C) y_tau, the noised change of each frame as target.
            level: (B, F) tau.
            action: (B, F, A) action that led to each frame, in [-1, 1].
            valid: (B, F) bool, False for frames before the episode began or after it ended.
            first: (B, N, C) latent before the clip's first frame (that frame's base).
            lower: (B, F) the level that each target is to jump to, for an any-step network; None: nowhere.

        Returns:
            (B, F, N, C) the estimate of y; rows that are not valid hold no meaning.
        """
        b, f, n = context.shape[:3]
        base = torch.cat((first.unsqueeze(1), context[:, :-1]), dim=1)
        x = torch.cat((self.tokens((context - base) / self.delta_scale, context), self.tokens(noised, base)), dim=1)
        condition = torch.cat(
            (
                self.condition(action, context_level, target=False),
                self.condition(action, level, target=True, lower=lower),
            ),
            dim=1,
        )
        time = torch.arange(f, device=context.device)
        angle = self.angles(torch.cat((time, time)))
        visible = clip_visibility(valid, self.config.window)  # (B, 2F, 2F)
        visible = visible.repeat_interleave(n, 1).repeat_interleave(n, 2)
        for block in self.blocks:
            modulation = block.modulate(condition)
            q, k, v = (y.flatten(1, 2) for y in block.project(x, modulation, angle))
            attended = block.attend(q, k, v, visible).reshape(b, 2 * f, n, -1)
            x = block.finish(x, attended, modulation)
        return self.answer(x[:, f:], condition[:, f:])


def clip_visibility(valid: Tensor, window: int) -> Tensor:
    """Which of the 2F (contexts, then targets) frames each of the 2F sees, (B, F) bool -> (B, 2F, 2F) bool."""
    f = valid.shape[1]
    t = torch.arange(f, device=valid.device)
    age = t.unsqueeze(1) - t.unsqueeze(0)
    own = (age == 0).expand(valid.shape[0], -1, -1)
    seen = valid.unsqueeze(1)
    context = (age >= 0) & (age < window) & seen
    past = (age >= 1) & (age <= window) & seen
    none = torch.zeros_like(own)
    return torch.cat((torch.cat((context | own, none), 2), torch.cat((past, own), 2)), 1)
