"""A linter for dreams: it looks for the bugs that make agents fail while every loss looks fine.

It needs nothing but the environment. Dreams are seeded, so it can ask "what if": the same dream once more, with one
action changed, with another row's actions changed, with another past before a reset; what then changes, and what does
not, gives each bug away. `real=` adds what only reality can tell: whether the dream answers actions as the task does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from ..errors import InputError
from .linter_real import compare_with_reality
from .linter_trace import Array, Finding, Trace, go_on, roll, sample_actions, unchecked
from .model import resolve_model
from .vector import DreamVectorEnv

TOLERANCE = 1e-5
"""Numbers that differ by less than this share of the observations' spread are equal (a GPU may round anew)."""


def lint(
    dream: VectorEnv | Any,
    *,
    real: VectorEnv | Iterable[Any] | None = None,
    num_envs: int = 16,
    steps: int = 32,
    seed: int = 0,
) -> list[Finding]:
    """Look for known bugs in a dream environment, ours or anybody's.

    | code | the bug |
    |---|---|
    | frozen | the observation, or the state behind it, does not advance |
    | action-ignored, action-late | the action acts never, or one step late (checked without reality) |
    | reward-ignores-action | the reward is not conditioned on the action |
    | reset-missing, reset-leaks, rows-interfere, reset-mask | wrong rows are reset, or not all of their memory |
    | final-obs | the last observation of an episode is lost, stale or wrongly masked |
    | seed-lost, seed-ignored, rows-alike, replay | the dream is not a function of the seed, or not of each row's own |
    | batch-dependent | a row alone is not the row among many (only when a model is given) |
    | not-finite, out-of-space | NaN, or an observation outside the declared space |
    | action-misaligned, reward-misses-action | reality answers actions otherwise (only with `real`) |

    Args:
        dream: a vector environment with SAME_STEP autoreset that takes seeds; or a world model or its folder, which is
            then dreamed with a short horizon, so that there are resets to look at.
        real: the real task with the same observation and action spaces (`agents.wrap_real`), or recorded episodes of
            it under random actions (an EpisodeStore; only when `dream` is a model).
        num_envs: rows when a model is given.
        steps: length of a roll-out; about a dozen are made. Rows should end episodes within it.
        seed: seed of the actions and of the dreams.

    Returns:
        Findings; none for a healthy dream. Severity "unchecked" marks what could not be looked at, with the reason.

    Raises:
        InputError: if `dream` resets in another mode.

    Example:
        >>> [finding.code for finding in lint("runs/demo/model")]  # doctest: +SKIP
        []
    """
    model = None if isinstance(dream, VectorEnv) else resolve_model(dream)
    envs = dream if model is None else DreamVectorEnv(model, num_envs, horizon=max(2, steps // 3))
    if envs.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
        raise InputError("dream: expected SAME_STEP autoreset, got another mode; make the environment with SAME_STEP")
    probe = _Probe(envs, steps, seed)
    findings = list(_sound(probe))
    if any(finding.code == "not-finite" for finding in findings):
        return findings
    for check in (_seeds, _frozen):
        findings.extend(check(probe))
    if not findings:  # every later check compares roll-outs of equal seeds, and needs a state that advances
        for check in (_actions, _final_obs, _resets, _rows, _reset_mask):
            findings.extend(check(probe))
    if model is not None:
        findings.extend(_batch(probe, DreamVectorEnv(model, 1, horizon=max(2, steps // 3))))
    if real is not None:
        findings.extend(compare_with_reality(envs, real, model, seed))
    return findings


class _Probe:
    """The environment, its base roll-out, and what counts as equal in it."""

    def __init__(self, envs: VectorEnv, steps: int, seed: int) -> None:
        self.envs, self.steps, self.seed = envs, steps, seed
        self.actions = sample_actions(envs, steps, seed)
        self.others = sample_actions(envs, steps, seed + 1)
        self.base = roll(envs, self.actions, seed=seed)
        spread = float(self.base.obs.std())
        self.scale = spread if np.isfinite(spread) and spread > 0 else 1.0

    def again(self, actions: Array) -> Trace:
        return roll(self.envs, actions, seed=self.seed)

    def differs(self, one: Array, other: Array) -> Array:
        """Where (along the last axis) two observations are not equal."""
        return np.abs(one - other).max(axis=-1) > TOLERANCE * self.scale


def _sound(probe: _Probe) -> Iterator[Finding]:
    base = probe.base
    if not (np.isfinite(base.obs).all() and np.isfinite(base.after).all() and np.isfinite(base.reward).all()):
        yield Finding(code="not-finite", message="an observation or a reward is NaN or infinite under random actions")
    elif not base.inside:
        yield Finding(code="out-of-space", message="observations lie outside observation_space, or have another dtype")


def _seeds(probe: _Probe) -> Iterator[Finding]:
    base, again = probe.base, probe.again(probe.actions)
    if probe.differs(base.obs, again.obs).any() or not np.allclose(base.reward, again.reward, atol=TOLERANCE):
        yield Finding(code="seed-lost", message="reset(seed=s) and the same actions twice gave two different dreams")
        return
    other = roll(probe.envs, probe.actions, seed=probe.seed + 10_007)
    if not probe.differs(base.obs, other.obs).any():
        yield Finding(code="seed-ignored", message="two seeds and the same actions gave the same dream")
        return
    alike = np.broadcast_to(probe.actions[:, :1], probe.actions.shape)
    first = roll(probe.envs, alike, seed=probe.seed)
    if probe.envs.num_envs > 1 and not probe.differs(first.obs[:, 1:], first.obs[:, :1]).any():
        yield Finding(code="rows-alike", message="all rows dream the same under the same actions; each needs its seed")
        return
    second = roll(probe.envs, alike, seed=None)
    if not probe.differs(first.obs, second.obs).any():
        yield Finding(code="replay", message="reset() without a seed replays the episode before; draws must go on")


def _frozen(probe: _Probe) -> Iterator[Finding]:
    base = probe.base
    still = ~probe.differs(base.after, base.obs[:-1])[~base.ended]
    if still.mean() > 0.1:
        yield Finding(code="frozen", message=f"{still.mean():.0%} of the steps leave the observation exactly as it was")
        return
    # An early action must still show later: otherwise each step starts from the same state again.
    changed = probe.actions.copy()
    changed[0] = probe.others[0]
    trace = probe.again(changed)
    reach = min(6, probe.steps - 1)
    alive = ~(base.ended[:reach].any(axis=0) | trace.ended[:reach].any(axis=0))
    at_once, later = (probe.differs(base.after[t], trace.after[t]) & alive for t in (0, reach))
    if at_once.any() and not later.any():
        yield Finding(code="frozen", message=f"an action is forgotten {reach} steps later: the state is not carried on")


def _actions(probe: _Probe) -> Iterator[Finding]:
    base = probe.base
    seen, late, reward_seen = False, False, False
    for k in (1, probe.steps // 2, probe.steps - 2):
        changed = probe.actions.copy()
        changed[k] = probe.others[k]
        trace = probe.again(changed)
        seen |= probe.differs(base.after[k], trace.after[k]).any()
        live = ~(base.ended[k] | trace.ended[k])
        late |= (probe.differs(base.after[k + 1], trace.after[k + 1]) & live).any()
        reward_seen |= (np.abs(base.reward[k] - trace.reward[k]) > 1e-7 * np.ptp(base.reward)).any()
    if not seen and late:
        yield Finding(code="action-late", message="an action changes nothing in its own step, but the step after it")
    elif not seen:
        yield Finding(code="action-ignored", message="changing an action changes no observation")
    if np.ptp(base.reward) > 0 and not reward_seen:
        yield Finding(code="reward-ignores-action", message="rewards vary, but never with the action of their own step")


def _final_obs(probe: _Probe) -> Iterator[Finding]:
    base = probe.base
    if not base.ended.any():
        yield unchecked("final-obs", f"no episode ended within {probe.steps} steps; raise steps or lower the horizon")
        return
    if not np.array_equal(base.final_given & base.ended, base.ended):
        yield Finding(code="final-obs", message="an episode ended, but info['_final_obs'] does not mark its row")
        return
    if (base.final_given & ~base.ended).any():
        yield Finding(code="final-obs", message="info['_final_obs'] marks a row whose episode goes on")
    if not probe.differs(base.after, base.obs[1:])[base.ended].any():
        yield Finding(code="final-obs", message="info['final_obs'] is the next episode's first observation")
    elif not probe.differs(base.after, base.obs[:-1])[base.ended].any():
        yield Finding(code="final-obs", message="info['final_obs'] is the observation before the last action")


def _resets(probe: _Probe) -> Iterator[Finding]:
    """A new episode must not know the one before it."""
    base = probe.base
    last = np.where(base.ended.any(axis=0), base.ended.argmax(axis=0), probe.steps)
    if not base.ended.any():
        yield unchecked("reset-leaks", f"no episode ended within {probe.steps} steps")
        return
    time = np.arange(probe.steps)[:, None]
    past = (time <= last).reshape(*base.ended.shape, *[1] * (probe.actions.ndim - 2))
    trace = probe.again(np.where(past, probe.others, probe.actions))
    if not probe.differs(base.after, base.obs[1:])[base.ended].any():
        yield Finding(code="reset-missing", message="an ended row goes on where it ended instead of beginning anew")
        return
    first = np.where(trace.ended.any(axis=0), trace.ended.argmax(axis=0), probe.steps)
    rows = np.flatnonzero((first == last) & (last < probe.steps - 1))
    if len(rows) == 0:
        yield unchecked("reset-leaks", "no row ended at the same step under other actions; use a short horizon")
    elif any(probe.differs(base.obs[last[i] + 1 :, i], trace.obs[last[i] + 1 :, i]).any() for i in rows):
        yield Finding(code="reset-leaks", message="after a reset the dream still depends on the episode before it")


def _rows(probe: _Probe) -> Iterator[Finding]:
    """What even rows dream must not depend on what odd rows do, their resets included."""
    if probe.envs.num_envs < 2:
        yield unchecked("rows-interfere", "there is only one row")
        return
    changed = probe.actions.copy()
    changed[:, 1::2] = probe.others[:, 1::2]
    trace = probe.again(changed)
    if probe.differs(probe.base.obs[:, ::2], trace.obs[:, ::2]).any():
        yield Finding(code="rows-interfere", message="a row's dream changes with the actions or ends of other rows")


def _reset_mask(probe: _Probe) -> Iterator[Finding]:
    """Resetting some rows must begin those anew and leave the others as they are."""
    if probe.envs.num_envs < 2:
        return
    half = max(1, probe.steps // 6)
    roll(probe.envs, probe.actions[:half], seed=probe.seed)
    mask = np.arange(probe.envs.num_envs) % 2 == 0
    try:
        obs, _ = probe.envs.reset(options={"reset_mask": mask.copy()})
    except Exception:  # noqa: BLE001  (an option of Gymnasium that not every environment has)
        return
    trace = go_on(probe.envs, obs, probe.actions[half:])
    moved = probe.differs(trace.obs[0], probe.base.obs[half])
    if moved[~mask].any() or not moved[mask].any():
        yield Finding(code="reset-mask", message="reset_mask does not reset its rows, or resets other rows too")
    elif probe.differs(trace.obs, probe.base.obs[half:])[:, ~mask].any():
        yield Finding(code="reset-mask", message="rows outside reset_mask dream on differently after the reset")


def _batch(probe: _Probe, alone: DreamVectorEnv) -> Iterator[Finding]:
    row, steps = probe.envs.num_envs - 1, min(3, probe.steps)
    trace = roll(alone, probe.actions[:steps, row : row + 1], seed=probe.seed + row)
    gap = np.abs(trace.obs[:, 0] - probe.base.obs[: steps + 1, row]).max() / probe.scale
    if gap > 1e-3:
        yield Finding(code="batch-dependent", message=f"row {row} alone differs from itself among many by {gap:.2g}")
