"""Sizes and step counts by name: `nano`, `tiny` for two CPU cores, `small` for an hour or a GPU, `base` for a GPU.

`nano` is what `wmenv demo` trains in minutes on cores without bfloat16 units, for tasks as simple as the pendulum.
`tiny-flow` is `tiny` at all noise levels: it dreams in eight steps and teaches models that dream in one or two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .errors import InputError
from .ranges import check_number, check_whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """Everything that `train` needs to know beside the data. Steps are optimizer steps.

    Attributes:
        vae_width, token_dim, grid: of the frame tokenizer; see FrameVAEConfig.
        max_tokens: most tokens that a state is laid out in; see `group_slots`.
        width, depth, heads: of the dynamics; see DynamicsConfig.
        window: past frames that a new frame sees, for frames and for states.
        history: latents that a policy sees, for frames and for states.
        head_width: of the reward and termination heads.
        denoise_steps: default steps of the sampler.
        vae_steps, vae_rows, vae_frames, vae_rate: steps, batch and learning rate of the tokenizer; its clips have at
            least 3 frames, since the third is guessed from two.
        steps, rows, frames, rate: the same for the dynamics and heads.
        full_noise, context_noise, free_context: how the dynamics' noise is drawn; see ForcingConfig.
        own_frames: how many of a clip's last frames a model of frames may have dreamed itself, see `own_past`. For
            models that dream in one step: others dream one of many futures, and need not come back to the recorded one.
        starts: recorded contexts kept for resets.
    """

    vae_width: int
    token_dim: int
    grid: int
    max_tokens: int
    width: int
    depth: int
    heads: int
    window_frames: int
    window_state: int
    history_frames: int
    history_state: int
    head_width: int
    denoise_steps: int
    vae_steps: int
    vae_rows: int
    vae_frames: int
    vae_rate: float
    steps: int
    rows: int
    frames: int
    rate: float
    full_noise: float
    context_noise: float
    free_context: float
    own_frames: int
    starts: int

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            InputError: A field is out of range.
        """
        for name, least, most in (
            ("vae_width", 1, 65_536), ("token_dim", 1, 65_536), ("grid", 1, 256), ("max_tokens", 1, 65_536),
            ("width", 1, 65_536), ("depth", 1, 1024), ("heads", 1, 65_536), ("window_frames", 1, 4096),
            ("window_state", 1, 4096), ("history_frames", 1, self.window_frames),
            ("history_state", 1, self.window_state), ("head_width", 1, 65_536), ("denoise_steps", 1, 1000),
            ("vae_steps", 0, None), ("vae_rows", 1, None), ("vae_frames", 3, None), ("steps", 0, None),
            ("rows", 1, None), ("frames", 1, None), ("own_frames", 0, None), ("starts", 1, 1_000_000),
        ):  # fmt: skip
            check_whole(name, getattr(self, name), least, most)
        for name in ("vae_rate", "rate", "full_noise", "context_noise", "free_context"):
            check_number(name, getattr(self, name), 0, 1)
        for name in ("vae_rate", "rate"):
            if not getattr(self, name):
                raise InputError(f"{name}: expected a number above 0, got 0; to train nothing, set its steps to 0")
        if self.width % (8 * self.heads):
            raise InputError(f"width: expected a multiple of 8 * heads = {8 * self.heads}, got {self.width}")


PRESETS = {
    "tiny": Preset(
        vae_width=32, token_dim=64, grid=1, max_tokens=1,
        width=192, depth=3, heads=3, window_frames=6, window_state=3, history_frames=3, history_state=1, head_width=256,
        denoise_steps=1, vae_steps=1400, vae_rows=16, vae_frames=4, vae_rate=2e-3,
        steps=1000, rows=64, frames=8, rate=1.5e-3, full_noise=0.9, context_noise=0.05, free_context=0.0,
        own_frames=3, starts=1024,
    ),
    "small": Preset(
        vae_width=64, token_dim=16, grid=4, max_tokens=16,
        width=256, depth=6, heads=8, window_frames=16, window_state=8, history_frames=4, history_state=1,
        head_width=512, denoise_steps=2, vae_steps=10_000, vae_rows=32, vae_frames=8, vae_rate=1e-3,
        steps=20_000, rows=64, frames=24, rate=6e-4,
        full_noise=0.6, context_noise=0.3, free_context=0.05, own_frames=0, starts=2048,
    ),
    "base": Preset(
        vae_width=96, token_dim=16, grid=4, max_tokens=32,
        width=512, depth=12, heads=8, window_frames=16, window_state=8, history_frames=4, history_state=1,
        head_width=512, denoise_steps=4, vae_steps=50_000, vae_rows=64, vae_frames=8, vae_rate=5e-4,
        steps=100_000, rows=128, frames=32, rate=3e-4,
        full_noise=0.6, context_noise=0.3, free_context=0.05, own_frames=0, starts=4096,
    ),
}  # fmt: skip
PRESETS["nano"] = replace(
    PRESETS["tiny"], vae_width=24, vae_frames=3, vae_steps=600, width=128, heads=2, rows=32, steps=700
)
PRESETS["tiny-flow"] = replace(PRESETS["tiny"], denoise_steps=8, full_noise=0.1, own_frames=0, steps=2000)
"""`tiny` lays a whole frame in one wide token. HalfCheetah from state, 20,000 steps, one core: one token of width 192
had a one-step error of .108 spreads after 144 s, four tokens of width 96 one of .134 after 110 s and .104 after 303 s.
It always samples in one step, hence the full noise; context noise of up to .3 had cost a sixth of the precision.
These are single trials.

`nano` has 1.0 instead of 2.2 million weights in its dynamics. On the pendulum, of 12,000 frames, a probe read the pole
from its latents to 1.1 mrad and from those of `tiny` to 1.3, the cart to 5.5 and 4.4 mm; a step erred by .071 and .066
(one training each, that of `nano` with 1,000 steps of each stage)."""


def preset_named(name: str) -> Preset:
    """The preset called `name`.

    Raises:
        InputError: if there is none.
    """
    if name not in PRESETS:
        raise InputError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
