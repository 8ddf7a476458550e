"""How far a dream strays from reality, step by step, beside standing still and beside a linear model.

A contact-rich robot is chaotic: after a few dozen steps a dream is one of many things that could have happened, and
the average of them all lies closer to what did happen than any of them. A linear model answers with that average. So
it is compared with the model's own average, of dreams whose starts differ by as much as the model errs in a step
(ensemble forecasting: Leith 1974, Theoretical Skill of Monte Carlo Forecasts); the single dream is reported beside it.

A step is measured on the episodes that reach it, so that is known of them: they have not ended. Hence a dream waits
in the frame that its termination head says was its last, and the average weighs each dream by the probability that it
gets that far.

# B clips, P context, F horizon, N tokens, C channels, E ensemble
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
from .linear import fit_linear

if TYPE_CHECKING:
    from ..data import Episode
    from ..world_model import WorldModel

MAX_CLIPS = 256
ENSEMBLE = 16
FAINT = 1e-6  # where every dream has ended, they count alike


@torch.no_grad()
def horizon_error(
    model: WorldModel,
    held_out: Sequence[Episode] | LatentEpisodes,
    training: Sequence[Episode] | LatentEpisodes,
    *,
    horizon: int = 50,
    seed: int = 0,
    forecast: bool = True,
) -> dict[str, Any]:
    """Error of open-loop prediction from real contexts, given the real actions.

    Args:
        model: the world model.
        held_out: episodes that it was not trained on, or their latents (`wmenv.training.encode_episodes`).
        training: those that the linear model is fitted to (the world model's own), or their latents.
        horizon: last step that is measured.
        seed: of the dreams' noise and the choice of clips.
        forecast: measure the average of many dreams too, which takes E times as long as all the rest.

    Returns:
        "horizons" 1..F; "dream" (with `forecast`: the average of E dreams that go on), "one_dream", "copy_last" (the
        last frame seen) and "linear": root mean square errors of the latent in units of its spread over the held-out
        episodes (always guessing the mean frame scores 1); "clips", how many clips reach that step. Steps that no
        held-out episode reaches are left out.

    Raises:
        InputError: there is no episode to fit to or to measure on, or the horizon is out of range.
    """
    check_episodes(held_out=held_out, training=training)
    check_whole("horizon", horizon, 1)
    data = as_latents(model, held_out)
    generator = torch.Generator().manual_seed(seed)
    context = model.context
    steps = data.length - 1
    episode = torch.repeat_interleave(torch.arange(len(steps)), steps)
    begin = torch.cat([torch.arange(int(n)) for n in steps])
    left = steps[episode] - begin
    order = torch.randperm(len(left), generator=generator)
    long = left[order] >= min(horizon, int(left.max()))
    chosen = torch.cat((order[long], order[~long]))[:MAX_CLIPS]  # clips that reach the end come first
    clip = data.cut(episode[chosen], begin[chosen] - context + 1, context + horizon)
    spread = _used(model, data.latent).std(0).square().sum()
    learned = as_latents(model, training)
    guesses = {"one_dream": _dream(model, clip, context, generator)[0]}
    if forecast:
        starts = _spread_starts(clip, context, _step_error(model, learned, generator), generator)
        many, lasts = (x.unflatten(0, (-1, ENSEMBLE)) for x in _dream(model, starts, context, generator))
        weight = (lasts / lasts.sum(1, keepdim=True))[..., None, None]
        guesses = {"dream": (weight * many).sum(1), **guesses}
    true, alive = clip.latent[:, context:], clip.target[:, context:]
    guesses["copy_last"] = clip.latent[:, context - 1 : context].expand_as(true)
    guesses["linear"] = _linear(clip, fit_linear(learned), context)
    reached = alive.sum(0)
    kept = int((reached > 0).sum())

    def error(guess: Tensor) -> list[float]:
        square = _used(model, (guess - true).flatten(0, 1)).square().sum(-1).view(alive.shape) / spread
        return ((square * alive).sum(0)[:kept] / reached[:kept]).sqrt().tolist()

    return {
        "horizons": list(range(1, kept + 1)),
        **{name: error(guess) for name, guess in guesses.items()},
        "clips": reached[:kept].tolist(),
        **({"ensemble": ENSEMBLE} if forecast else {}),
        "unit": "error of the latent, 1 = guessing the mean",
    }


def _used(model: WorldModel, latent: Tensor) -> Tensor:
    """(M, N, C) -> (M, D) without the empty channels of state tokens."""
    flat = latent.flatten(1)
    return flat[:, model.tokenizer.slots.cpu()] if isinstance(model.tokenizer, StateTokenizer) else flat


def _step_error(model: WorldModel, data: LatentEpisodes, generator: torch.Generator) -> Tensor:
    """Root mean square error (N, C) of one step from real contexts of the training episodes."""
    context, steps = model.context, data.length - 1
    episode = torch.repeat_interleave(torch.arange(len(steps)), steps)
    begin = torch.cat([torch.arange(int(n)) for n in steps])
    chosen = torch.randperm(len(begin), generator=generator)[: 4 * MAX_CLIPS]
    clip = data.cut(episode[chosen], begin[chosen] - context + 1, context + 1)
    return (_dream(model, clip, context, generator)[0] - clip.latent[:, context:])[:, 0].square().mean(0).sqrt()


def _spread_starts(clip: Clip, context: int, size: Tensor, generator: torch.Generator) -> Clip:
    """Every clip E times, the last frame of each context off by Gaussian noise of `size` (N, C)."""
    clip = Clip(*(field.repeat_interleave(ENSEMBLE, 0) for field in clip))
    latent = clip.latent.clone()
    latent[:, context - 1] += size * torch.randn(latent[:, 0].shape, generator=generator)
    return clip._replace(latent=latent)


def _dream(model: WorldModel, clip: Clip, context: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Latents (B, F, N, C) and the probability (B, F) that the dream gets there, at least `FAINT`."""
    device = model.device
    head = (clip.latent[:, :context], clip.action[:, :context], clip.valid[:, :context])
    state = model.start_from(*(field.to(device) for field in head))
    actions = clip.action * model.action_half.cpu() + model.action_middle.cpu()
    frames, goes_on = [clip.latent[:, context - 1]], [torch.ones(len(actions))]
    for t in range(context, clip.latent.shape[1]):
        noise = torch.randn(len(actions), model.config.denoise_steps, *model.latent_shape, generator=generator)
        step = model.step(state, actions[:, t].to(device), noise.to(device))
        state = step.state
        moves = (goes_on[-1] > 0.5)[:, None, None]  # the frame that ends a dream is dreamed; after it the dream waits
        frames.append(torch.where(moves, state.latents[:, -1].cpu(), frames[-1]))
        goes_on.append((goes_on[-1] * (1 - step.termination.cpu())).clamp(min=FAINT))
    return torch.stack(frames[1:], 1), torch.stack(goes_on[:-1], 1)


def _linear(clip: Clip, linear: Any, context: int) -> Tensor:
    before = clip.latent[:, context - 2].flatten(1)
    now = clip.latent[:, context - 1].flatten(1)
    frames = []
    for t in range(context, clip.latent.shape[1]):
        before, now = now, linear.step(before, now, clip.action[:, t])
        frames.append(now.view_as(clip.latent[:, t]))
    return torch.stack(frames, 1)
