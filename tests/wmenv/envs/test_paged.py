"""Dreams over shared pages are the dreams over rings; what they share, what they cost, and life without room."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.wmenv.envs.toy import ToyModel
from tests.wmenv.tiny import make_model
from wmenv.cache import PagesExhausted
from wmenv.envs import DreamVectorEnv
from wmenv.envs.paged import PagedMemory
from wmenv.errors import InputError
from wmenv.world_model import WorldModel

B = 5
rows = st.lists(st.integers(0, B - 1), min_size=1, max_size=B, unique=True)
acts = st.one_of(
    st.tuples(st.just("step"), st.integers(1, 4)),
    st.tuples(st.just("reset"), rows),
    st.tuples(st.just("fork"), st.integers(0, B - 1), rows, st.booleans()),
    st.tuples(st.just("save")),
    st.tuples(st.just("load")),
)


def tiny(seed: int = 0, *, ends: bool = False, **changes: Any) -> WorldModel:
    """A model whose dreams end at their horizon, or also before it."""
    model = make_model(seed=seed, action_low=(-1.0,), action_high=(1.0,), **changes)
    if not ends:
        model.heads.termination[-1].bias.fill_(-100.0)
    return model


def pool_of(envs: DreamVectorEnv):
    assert isinstance(envs.core.dreams, PagedMemory)
    return envs.core.dreams.pool


def left(envs: DreamVectorEnv) -> int:
    return pool_of(envs).left(envs._live_state().dream.table)  # type: ignore[union-attr]


def push(envs: DreamVectorEnv, t: int) -> np.ndarray:
    return np.sin(np.arange(envs.num_envs)[:, None] * 1.7 + t)


def roll(envs: DreamVectorEnv, steps: int, begin: int = 0) -> list[np.ndarray]:
    return [x for t in range(begin, begin + steps) for x in envs.step(push(envs, t))[:4]]


def live(envs: DreamVectorEnv, deeds: list, seed: int) -> list[np.ndarray]:
    """Everything that an environment shows in a life of steps, masked resets, forks and snapshots."""
    shown, snapshot = [envs.reset(seed=seed)[0]], envs.save_state()
    for t, (deed, *given_) in enumerate(deeds):
        if deed == "step":
            shown += roll(envs, given_[0], 10 * t)
        elif deed == "reset":
            shown.append(envs.reset(options={"reset_mask": np.isin(np.arange(B), given_[0])})[0])
        elif deed == "fork":
            shown.append(envs.fork(given_[0], given_[1], reseed=given_[2]))
        elif deed == "save":
            snapshot = envs.save_state()
        else:
            shown.append(envs.load_state(snapshot))
    return shown + roll(envs, 2)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(deeds=st.lists(acts, max_size=10), seed=st.integers(0, 1000), window=st.integers(1, 4))
def test_pages_and_rings_lazy_and_eager_dream_the_same(deeds: list, seed: int, window: int):
    model = tiny(window=window, history=1, ends=True)
    want = live(DreamVectorEnv(model, B, horizon=6, commit="eager"), deeds, seed)
    for options in ({"commit": "lazy"}, {"cache": "paged"}, {"cache": "paged", "codec": "bf16"}):
        got = live(DreamVectorEnv(model, B, horizon=6, **options), deeds, seed)
        slack = 0.05 if "codec" in options else 1e-5
        assert all(np.allclose(a, b, rtol=slack, atol=slack) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("codec", ["fp32", "int4"])
def test_a_row_is_bit_equal_alone_and_among_others(codec: str):
    """On the declared path, whatever its neighbours do: among them rows that are forked and begin anew."""
    model, options = tiny(), {"horizon": 5, "batch_invariant": True, "cache": "paged", "codec": codec}
    many, alone = DreamVectorEnv(model, 20, **options), DreamVectorEnv(model, 1, **options)
    whole, single = [many.reset(seed=30)[0]], [alone.reset(seed=47)[0]]
    for t in range(9):
        if t % 3 == 1:
            many.fork(0, [1, 2, 18])
            many.reset(options={"reset_mask": np.arange(20) == 19})
        actions = push(many, t)
        whole += many.step(actions)[:4]
        single += alone.step(actions[17:18])[:4]
    assert all(np.array_equal(a[17:18], b) for a, b in zip(whole, single, strict=True))


@pytest.mark.parametrize("codec", ["fp32", "int8", "int4"])
@pytest.mark.parametrize("options", [{"horizon": 100}, {"horizon": 7, "batch_invariant": True}])
def test_snapshots_are_exact_copies_that_stand_by_themselves(codec: str, options: dict):
    """Also elsewhere; where rows begin anew there, contexts are encoded in another company."""
    model, options = tiny(), options | {"cache": "paged", "codec": codec}
    envs = DreamVectorEnv(model, B, **options)
    envs.reset(seed=1)
    roll(envs, 4)
    envs.fork(4, [0, 1])
    snapshot = envs.save_state()
    assert len(snapshot.core.dream.pages[0]) < 3 * model.config.window + 1, "pages that are shared are kept once"
    want = roll(envs, 12)
    envs.load_state(snapshot)
    other = DreamVectorEnv(model, B, **options)
    other.load_state(snapshot)
    for again in (envs, other):
        assert all(np.array_equal(a, b) for a, b in zip(roll(again, 12), want, strict=True))


def test_dreams_that_share_fit_into_fewer_pages():
    """64 branches of one dream are one dream until they part, and then 64 newest frames."""
    model = tiny(window=6)
    envs = DreamVectorEnv(model, 64, cache="paged", pages=6 + 5 * 2 + 64)
    ring = DreamVectorEnv(model, 64)
    start = np.zeros(64, dtype=np.int64)
    seen, _ = envs.reset(seed=0, options={"start": start})
    same, _ = ring.reset(seed=0, options={"start": start})
    assert np.allclose(seen, same, atol=1e-5)
    assert pool_of(envs).pages - left(envs) == 5
    for one, other in zip(roll(envs, 1), roll(ring, 1), strict=True):
        assert np.allclose(one, other, atol=1e-5)
    assert pool_of(envs).pages - left(envs) == 5 + 64
    assert envs.cache_bytes < ring.cache_bytes / 3
    small = DreamVectorEnv(model, 64, cache="paged", codec="int4")
    small.reset(seed=0)
    assert small.cache_bytes < ring.cache_bytes / 3


def test_without_room_nothing_is_lost():
    model = tiny(window=3)
    envs = DreamVectorEnv(model, 4, cache="paged", pages=9, horizon=50)
    twin = DreamVectorEnv(model, 4, cache="paged", horizon=50)
    for each in (envs, twin):
        each.reset(seed=5, options={"start": np.zeros(4, dtype=np.int64)})
    with pytest.raises(
        PagesExhausted, match="expected 4 free ones.*4 dreams with 0 pinned pages can never run out of 12"
    ):
        for t in range(5):
            envs.step(push(envs, t))
            roll(twin, 1, t)
    for each in (envs, twin):  # twelve pages would do, or dreams that share more
        each.fork(0, [1, 2, 3], reseed=True)
    for one, other in zip(roll(envs, 1), roll(twin, 1), strict=True):
        assert np.allclose(one, other, atol=1e-6)


def test_without_room_to_begin_anew_the_ended_rows_wait():
    model = tiny(window=3)
    envs = DreamVectorEnv(model, 2, cache="paged", pages=4, horizon=2)
    envs.reset(seed=5, options={"start": 0})
    envs.step(push(envs, 0))
    envs.core.dreams.pool.pinned[:] = True  # as if others held them
    envs.core.dreams.prefixes.forget = lambda: None  # type: ignore[method-assign]
    envs.core.dreams.prefixes._known[:] = False
    envs.core.dreams.can_run_out = False
    with pytest.raises(PagesExhausted):
        envs.step(push(envs, 1))
    assert envs._ended.all()
    with pytest.raises(gym.error.ResetNeeded):
        envs.step(push(envs, 2))


def test_the_default_pool_never_runs_out():
    model = tiny(window=3)
    envs = DreamVectorEnv(model, 6, cache="paged", horizon=4)
    envs.reset(seed=0)
    for t in range(30):
        envs.step(push(envs, t))
        assert left(envs) >= 6
        if t % 7 == 3:
            envs.fork(t % 6, [0, 2])
            envs.load_state(envs.save_state())


def test_new_weights_are_noticed_by_the_next_reset():
    model = tiny()
    envs = DreamVectorEnv(model, B, cache="paged")
    envs.reset(seed=0)
    model.load_state_dict(tiny(seed=1).state_dict())
    twin = DreamVectorEnv(tiny(seed=1), B, cache="paged")
    envs.reset(seed=0), twin.reset(seed=0)
    assert all(np.array_equal(a, b) for a, b in zip(roll(envs, 3), roll(twin, 3), strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cache": "book"}, "cache: expected 'ring' or 'paged', got 'book'"),
        ({"cache": "paged", "codec": "int3"}, "codec: expected one of .*, got 'int3'"),
        ({"cache": "paged", "codec": "int2"}, "samples: int2 needs at least 256 tokens a head, got 16"),
        ({"cache": "paged", "pages": 0}, "pages: expected a positive int, got 0"),
        ({"cache": "paged", "commit": "eager"}, "commit: expected 'lazy' with cache='paged'"),
        ({"codec": "int8"}, "codec: expected None with cache='ring', got 'int8'"),
        ({"pages": 7}, "pages: expected None with cache='ring', got 7"),
        ({"commit": "never"}, "commit: expected 'lazy' or 'eager', got 'never'"),
    ],
)
def test_options_that_make_no_cache(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        DreamVectorEnv(tiny(), 2, **options)


def test_pages_need_a_world_model_of_ours():
    with pytest.raises(InputError, match="cache: 'paged' needs a wmenv.WorldModel, got ToyModel"):
        DreamVectorEnv(ToyModel(), 2, cache="paged")


def test_snapshots_of_other_caches_are_refused():
    model = tiny()
    kinds = ({}, {"commit": "eager"}, {"cache": "paged"}, {"cache": "paged", "codec": "int8"})
    envs = [DreamVectorEnv(model, 2, **options) for options in kinds]
    snapshots = [(each.reset(seed=0), each.save_state())[1] for each in envs]
    for i, each in enumerate(envs):
        for k, snapshot in enumerate(snapshots):
            if i == k:
                each.load_state(snapshot)
            else:
                with pytest.raises(InputError, match="snapshot: expected rows of shapes"):
                    each.load_state(snapshot)


def test_by_the_registered_id():
    """The options reach the cache: pages of two bytes a number, and the dreams that they give."""
    options: dict[str, Any] = {"cache": "paged", "codec": "bf16"}
    made = gym.make_vec("wmenv/Dream-v0", num_envs=3, model=tiny(), **options).unwrapped
    assert isinstance(made, DreamVectorEnv) and pool_of(made).codec.of(0, 0).name == "bf16"
    own, exact = DreamVectorEnv(tiny(), 3, **options), DreamVectorEnv(tiny(), 3, cache="paged")
    for envs in (made, own, exact):
        envs.reset(seed=0)
    shown, same, other = (roll(envs, 3) for envs in (made, own, exact))
    assert all(np.array_equal(a, b) for a, b in zip(shown, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(shown, other, strict=True))


def test_two_bits_are_fitted_to_the_recorded_contexts():
    """They dream nearly the same dreams, in less room than four bits take."""
    model, horizon = tiny(num_starts=200), {"horizon": 9, "cache": "paged"}
    exact, *rest = (roll_from(model, codec=codec, **horizon) for codec in ("fp32", "int4", "int2"))
    int4, int2 = (np.abs(one[0] - exact[0]).mean() / np.abs(exact[0] - exact[0].mean(0)).mean() for one in rest)
    assert 0 < int2 < 0.1
    assert 0 < int4 < 0.1
    assert rest[1][1] < 0.8 * rest[0][1]  # bytes


def roll_from(model: WorldModel, **options: Any) -> tuple[np.ndarray, int]:
    """The observations of 6 steps of 16 dreams, (6, 16, O), and the bytes that each dream's memory takes."""
    envs = DreamVectorEnv(model, 16, **options)
    envs.reset(seed=1)
    return np.stack([envs.step(push(envs, t))[0] for t in range(6)]), envs.cache_bytes


@pytest.mark.parametrize("options", [{}, {"cache": "paged", "codec": "int8"}])
def test_memory_stays_what_it_was(options: dict):
    envs = DreamVectorEnv(tiny(), B, horizon=10**6, **options)
    envs.reset(seed=0)

    def held() -> tuple:
        dream = envs._live_state().dream
        rest = left(envs) if options else 0
        return envs.cache_bytes, rest, [field.nbytes for field in dream]

    roll(envs, 20)
    before = held()
    roll(envs, 200)
    assert held() == before


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"cache": "paged"}])
def test_frame_10000_costs_what_frame_100_costs(options: dict):
    """In processor time and bytes, within 5%; time is the median of ratios taken in turn."""
    model = tiny()
    young, old = (DreamVectorEnv(model, 16, horizon=10**6, **options) for _ in range(2))
    young.reset(seed=0), old.reset(seed=0)
    roll(old, 10_000), roll(young, 100)

    def cost(envs: DreamVectorEnv) -> float:
        start = time.process_time()
        roll(envs, 20)
        return time.process_time() - start

    ratios = [cost(old) / cost(young) for _ in range(41)]
    assert median(ratios) < 1.05
    assert old.cache_bytes == young.cache_bytes
