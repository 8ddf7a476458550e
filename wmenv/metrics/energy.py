"""Are dreams distributed as recordings are? A figure that a model of the mean cannot flatter.

A root mean square error is least for the mean of all that could come, a frame that may never be seen. The energy score
of M dreams x_i of one context and its recorded actions, against what was recorded,

    mean_i |x_i - z| - 1/2 mean_{i != j} |x_i - x_j|,

is least, on average, for dreams drawn as the recording was (Gneiting and Raftery 2007, Strictly Proper Scoring Rules,
section 4.2). Its excess over that least value is half the energy distance between the two.

# B clips, P context, F horizon, M dreams of each, N tokens, C channels
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..data.windows import Clip, LatentEpisodes
from ..ranges import check_whole
from ..tokenizers import StateTokenizer
from .episodes import as_latents, check_episodes

if TYPE_CHECKING:
    from ..data import Episode
    from ..world_model import WorldModel


@torch.no_grad()
def energy_by_horizon(
    model: WorldModel,
    held_out: Sequence[Episode] | LatentEpisodes,
    *,
    horizon: int = 16,
    clips: int = 256,
    dreams: int = 8,
    seed: int = 0,
) -> dict[str, Any]:
    """The energy score of open-loop dreams from real contexts, given the real actions.

    Args:
        model: the world model; makes as many denoising steps as its config says.
        held_out: episodes that it was not trained on, or their latents.
        horizon: F, steps that are measured, fewer where no held-out episode is so long.
        clips: B at most.
        dreams: M, at least 2.
        seed: of the dreams' noise and the choice of clips.

    Returns:
        "horizons" 1..F, and for each "score", "error" (the first term) and "spread" (mean distance of two dreams).
        Lengths are of changes from the context's last frame on, in usual changes of a step and root mean squares over
        the numbers of a latent: 1 is about what a step moves. "clips": how many.

    Raises:
        InputError: there is no held-out episode, or a number is out of range.
    """
    check_episodes(held_out=held_out)
    for name, value, least in (("horizon", horizon, 1), ("clips", clips, 1), ("dreams", dreams, 2)):
        check_whole(name, value, least)
    data = as_latents(model, held_out)
    generator = torch.Generator().manual_seed(seed)
    context, steps = model.context, data.length - 1
    horizon = min(horizon, int(steps.max()))
    episode = torch.repeat_interleave(torch.arange(len(steps)), steps)
    begin = torch.cat([torch.arange(int(n)) for n in steps])
    whole = (steps[episode] - begin >= horizon).nonzero()[:, 0]
    chosen = whole[torch.randperm(len(whole), generator=generator)[:clips]]
    clip = data.cut(episode[chosen], begin[chosen] - context + 1, context + horizon)
    dreamed = _dreams(model, clip, context, dreams, generator)
    scale = model.dynamics.delta_scale.cpu()
    slots = model.tokenizer.slots.cpu() if isinstance(model.tokenizer, StateTokenizer) else slice(None)

    def length(difference: Tensor) -> Tensor:
        return (difference / scale).flatten(-2)[..., slots].square().mean(-1).sqrt()

    error = length(dreamed - clip.latent[:, context:].unsqueeze(1)).mean((0, 1))
    pairs = [length(dreamed[:, i] - dreamed[:, j]).mean(0) for i in range(dreams) for j in range(i)]
    spread = torch.stack(pairs).mean(0)
    return {
        "horizons": list(range(1, horizon + 1)),
        "score": (error - spread / 2).tolist(),
        "error": error.tolist(),
        "spread": spread.tolist(),
        "clips": len(chosen),
    }


def _dreams(model: WorldModel, clip: Clip, context: int, dreams: int, generator: torch.Generator) -> Tensor:
    """Latents (B, M, F, N, C)."""
    clip = Clip(*(field.repeat_interleave(dreams, 0) for field in clip))
    head = (clip.latent[:, :context], clip.action[:, :context], clip.valid[:, :context])
    state = model.start_from(*(field.to(model.device) for field in head))
    actions = clip.action.to(model.device) * model.action_half + model.action_middle
    frames = []
    for t in range(context, clip.latent.shape[1]):
        noise = torch.randn(len(actions), model.config.denoise_steps, *model.latent_shape, generator=generator)
        state = model.step(state, actions[:, t], noise.to(model.device), consume=True).state
        frames.append(state.latents[:, -1].cpu())
    return torch.stack(frames, 1).unflatten(0, (-1, dreams))
