"""What both faces of the dream share: their options, checked once, and the spaces and actions that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode

from kernels import Codec

from ..errors import InputError, WmenvError
from ..types import LATENT_BOUND
from .core import DreamCore
from .dreams import Dreams, OwnMemory
from .model import DreamModel, device_of

DEFAULT_HORIZON = 1000
"""Steps of a dreamed episode when the task itself has no limit."""


class DreamNotReset(WmenvError, ResetNeeded):
    """A step was asked of a dream that has not begun, or that has ended."""


class DreamClosed(WmenvError, ClosedEnvironmentError):
    """Something was asked of an environment after close()."""


def make_core(
    model: DreamModel,
    num_envs: int,
    *,
    horizon: int | None,
    limit: int | None,
    steps: int | None,
    starts: str,
    batch_invariant: bool,
    cache: str = "ring",
    codec: str | Codec | None = None,
    pages: int | None = None,
    commit: str = "lazy",
) -> DreamCore:
    """The core of `num_envs` rows that the options describe; its horizon is at most `limit`.

    Raises:
        InputError: if an option is out of range.
    """
    if starts not in ("any", "initial"):
        raise InputError(f"starts: expected 'any' or 'initial', got {starts!r}; 'initial' are episode beginnings")
    kept = torch.arange(model.num_starts, device=device_of(model))
    kept = kept[model.start_is_initial] if starts == "initial" else kept
    if len(kept) == 0:
        raise InputError("starts: expected recorded start contexts, got none; use starts='any' or record episodes")
    if horizon is None:
        horizon = model.config.max_episode_steps or DEFAULT_HORIZON
    horizon = read_count("horizon", horizon)
    if limit is not None:
        horizon = min(horizon, read_count("max_episode_steps", limit))
    return DreamCore(
        model=model,
        dreams=make_dreams(
            model, num_envs, kept, cache=cache, codec=codec, pages=pages, commit=commit, batch_invariant=batch_invariant
        ),
        starts=kept,
        horizon=horizon,
        steps=read_count("steps", model.config.denoise_steps if steps is None else steps),
        batch_invariant=bool(batch_invariant),
    )


def make_dreams(
    model: DreamModel,
    num_envs: int,
    starts: torch.Tensor,
    *,
    cache: str,
    codec: str | Codec | None,
    pages: int | None,
    commit: str,
    batch_invariant: bool,
) -> Dreams:
    """How `num_envs` rows that begin from `starts` (K,) are kept and stepped.

    Raises:
        InputError: if an option is out of range, or does not go with another.
    """
    if commit not in ("lazy", "eager"):
        raise InputError(f"commit: expected 'lazy' or 'eager', got {commit!r}; both dream the same")
    if cache == "paged":
        if commit == "eager":
            raise InputError("commit: expected 'lazy' with cache='paged', got 'eager'; leave it out")
        from .paged import PagedMemory  # here, since a user's own model needs none of it

        codec, pages = "fp32" if codec is None else codec, None if pages is None else read_count("pages", pages)
        return PagedMemory(
            model, num_envs, codec=codec, pages=pages, starts=starts, batch_invariant=bool(batch_invariant)
        )
    if cache != "ring":
        raise InputError(f"cache: expected 'ring' or 'paged', got {cache!r}; rings are faster on a CPU, pages smaller")
    for name, value in (("codec", codec), ("pages", pages)):
        if value is not None:
            raise InputError(f"{name}: expected None with cache='ring', got {value!r}; use cache='paged'")
    return OwnMemory(model=model, lazy=commit == "lazy", batch_invariant=bool(batch_invariant))


def read_autoreset(mode: AutoresetMode | str) -> AutoresetMode:
    """The autoreset mode, SAME_STEP or DISABLED.

    Raises:
        InputError: if it is anything else.
    """
    for known in (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED):
        if mode in (known, known.value):
            return known
    raise InputError(f"autoreset_mode: expected SAME_STEP or DISABLED, got {mode!r}; use AutoresetMode.SAME_STEP")


def observation_space(model: DreamModel, obs: str) -> Box:
    """The space of one row's observation.

    Raises:
        InputError: if the model cannot give observations of the kind `obs`.
    """
    c = model.config
    if obs == "latent":
        return latent_space(model)
    if obs not in ("frames", "state"):
        raise InputError(f"obs: expected 'latent', 'frames' or 'state', got {obs!r}; 'latent' works with every model")
    if obs != c.modality:
        raise InputError(
            f"obs: expected 'latent' or {c.modality!r}, got {obs!r}; the model was trained on {c.modality}"
        )
    if obs == "frames":
        return Box(0, 255, (c.image_size, c.image_size, 3), np.uint8)
    return Box(np.asarray(c.state_low, np.float32), np.asarray(c.state_high, np.float32))


def latent_space(model: DreamModel) -> Box:
    """The space of latent observations: the last H latents, each clipped to LATENT_BOUND."""
    c = model.config
    return Box(-LATENT_BOUND, LATENT_BOUND, (c.history * c.num_tokens * c.token_dim,), np.float32)


def action_space(model: DreamModel) -> Box:
    """The task's own action box."""
    c = model.config
    return Box(np.asarray(c.action_low, np.float32), np.asarray(c.action_high, np.float32))


def check_render_mode(model: DreamModel, render_mode: str | None) -> None:
    """Refuse a render mode that the model cannot serve."""
    if render_mode not in (None, "rgb_array"):
        raise InputError(f"render_mode: expected None or 'rgb_array', got {render_mode!r}; dreams open no window")
    if render_mode is not None and model.config.modality != "frames":
        raise InputError(
            f"render_mode: expected None, got {render_mode!r}; a model trained on {model.config.modality} has no frames"
        )


def read_actions(actions: Any, space: gym.Space) -> np.ndarray:
    """`actions` as float32 of the shape of `space`, clipped to its box as MuJoCo clips controls to their range.

    Raises:
        InputError: if the shape is wrong, the entries are not numbers, or one of them is not finite.
    """
    assert isinstance(space, Box)
    try:
        array = np.asarray(actions)
    except (TypeError, ValueError) as error:
        raise InputError(f"action: expected an array of shape {space.shape}, got {type(actions).__name__}") from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"action: expected floats, got dtype {array.dtype}; convert it to float32")
    if array.shape != space.shape:
        raise InputError(f"action: expected shape {space.shape}, got {array.shape}; one row of actions for each env")
    if not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))[0].tolist()
        raise InputError(f"action: expected finite numbers, got {array[tuple(where)]} at {where}; nothing was stepped")
    return np.clip(array, space.low, space.high).astype(np.float32)


def read_seeds(seed: int | Sequence[int | None], num_envs: int, *, optional: bool = True) -> list[int | None]:
    """One seed for each row: `seed + i`, or the list as it is, in which None is allowed if `optional`.

    Raises:
        InputError: if a seed is negative, too large for 63 bits, no integer, or the list has another length.
    """
    if isinstance(seed, Sequence | np.ndarray):
        seeds = list(seed)
    elif isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        seeds = [int(seed) + i for i in range(num_envs)]
    else:
        raise InputError(f"seed: expected an int or a list of them, got {seed!r}; pass seed=0")
    if len(seeds) != num_envs:
        raise InputError(f"seed: expected {num_envs} seeds, got {len(seeds)}; one for each env, or one int for all")
    for one in seeds:
        if optional and one is None:
            continue
        if not isinstance(one, int | np.integer) or not 0 <= one < 2**63:
            raise InputError(f"seed: expected ints of 0 to 2**63 - 1, got {one!r}; choose another")
    return [None if one is None else int(one) for one in seeds]


def read_mask(mask: Any, num_envs: int) -> np.ndarray:
    """`options['reset_mask']` as Gymnasium defines it: a bool array (num_envs,) with at least one True.

    Raises:
        InputError: if it is anything else.
    """
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (num_envs,) or not mask.any():
        got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        got = "no True in it" if got == f"bool {(num_envs,)}" else got
        raise InputError(f"reset_mask: expected a bool array of shape ({num_envs},) with a True, got {got}")
    return mask


def read_starts(start: Any, num_envs: int, num_starts: int) -> np.ndarray | None:
    """`options['start']` as long (num_envs,): recorded contexts, one for all or one for each row.

    Raises:
        InputError: if it is anything else, or no such context was recorded.
    """
    if start is None:
        return None
    array = np.asarray(start)
    array = np.full(num_envs, array) if array.ndim == 0 else array
    sound = array.dtype.kind in "iu" and array.shape == (num_envs,)
    if not sound or (array < 0).any() or (array >= num_starts).any():
        raise InputError(f"start: expected ints of 0 to {num_starts - 1}, one or {num_envs} of them, got {start!r}")
    return array


def read_rows(name: str, rows: Any, num_envs: int) -> np.ndarray:
    """Different rows of the batch as long (K,).

    Raises:
        InputError: if one is no int, out of range or named twice.
    """
    array = np.asarray(rows)
    sound = array.ndim == 1 and (array.dtype.kind in "iu" or array.size == 0) and len(np.unique(array)) == len(array)
    if not sound or (array < 0).any() or (array >= num_envs).any():
        raise InputError(f"{name}: expected different ints of 0 to {num_envs - 1}, got {rows!r}")
    return array.astype(np.int64)


def read_count(name: str, value: Any) -> int:
    """A positive int.

    Raises:
        InputError: if it is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(f"{name}: expected a positive int, got {value!r}; use at least 1")
    return int(value)
