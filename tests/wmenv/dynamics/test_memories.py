"""Property tests: whatever rows do, every cache and both commits say what the whole past, looked at anew, says."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels import Plain, codec_named
from tests.wmenv.dreamers import Clip, Dreamer
from tests.wmenv.tiny import random_dynamics
from wmenv.dynamics import Dynamics

B, N, C, A = 4, 3, 2, 2
CODECS = ("fp64", "fp32", "bf16", "fp16", "int8", "int4")
rows = st.lists(st.integers(0, B - 1), min_size=1, max_size=B, unique=True)
acts = st.one_of(
    st.tuples(st.just("step"), st.integers(1, 3)),
    st.tuples(st.just("begin"), rows, st.integers(0, 2)),
    st.tuples(st.just("fork"), st.integers(0, B - 1), rows),
)
life = st.lists(acts, min_size=1, max_size=14)
few = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
"""Without shrinking, which takes minutes where an example takes half a second."""


def clips(dynamics: Dynamics) -> list[Clip]:
    """A full window, an episode's first frame after frames that are not there, and one with a hole."""
    window = dynamics.config.window
    holes = [t % 3 != 1 for t in range(window)]
    return [Clip(dynamics, window + 1, 1), Clip(dynamics, 3, 2, [False, False]), Clip(dynamics, window + 1, 3, holes)]


def live(dreamer: Dreamer, deeds: list, check=None) -> list[Tensor]:
    """What is estimated at every step of a life; all rows begin from the first clip."""
    like, generator = dreamer.due.latent, torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(like)

    said = []
    dreamer.begin(list(range(B)), 0)
    for deed, *given_ in [*deeds, ("step", 1)]:
        if deed == "step":
            passes = given_[0]
            level = torch.rand(B, generator=generator, dtype=torch.float64).to(like)
            said.append(dreamer.step(normal(B, A).tanh(), normal(B, N, C), level, normal(B, N, C), passes))
        else:
            getattr(dreamer, deed)(*given_)
        if check is not None:
            check(dreamer)
    return said


class Past:
    """The committed-context oracle: every row's past as a clip, looked at by the parallel form without any cache."""

    def __init__(self, dynamics: Dynamics, past: list[Clip]) -> None:
        self.dynamics, self.clips = dynamics, past
        self.rows: list[list[tuple[Tensor, ...]]] = [[] for _ in range(B)]
        self.due = type("Latest", (), {"latent": torch.zeros(B, N, C, dtype=past[0].latents.dtype)})

    def begin(self, index: list[int], clip: int) -> None:
        for row in index:
            self.rows[row] = [
                tuple(x[0] for x in frame) for frame in self.clips[clip].rows(0, len(self.clips[clip].latents))
            ]

    def fork(self, source: int, targets: list[int]) -> None:
        past = self.rows[source]
        for row in targets:
            self.rows[row] = list(past)

    def step(self, action: Tensor, noised: Tensor, level: Tensor, latent: Tensor, passes: int = 1) -> Tensor:
        said = []
        for row, past in enumerate(self.rows):
            base, context, actions, valid = (torch.stack(x) for x in zip(*past, strict=True))
            zero = torch.zeros_like(noised[row : row + 1])
            frames, last = len(past) + 1, past[-1][1]
            levels = noised.new_zeros(1, frames)
            levels[0, -1] = level[row]
            out = self.dynamics(
                torch.cat((context, zero))[None], levels.new_zeros(1, frames),
                torch.cat((torch.zeros_like(context), noised[row : row + 1]))[None], levels,
                torch.cat((actions, action[row : row + 1]))[None], torch.cat((valid, torch.tensor([True])))[None],
                base[:1],
            )  # fmt: skip
            said.append(out[0, -1])
            past.append((last, latent[row], action[row], torch.tensor(True)))
        return torch.stack(said)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", ["ring", "pages"])
@few
@given(deeds=life, window=st.integers(1, 5))
def test_cached_is_the_past_looked_at_anew(kind: str, lazy: bool, deeds: list, window: int):
    """Over random lengths, masked resets, forks, wrap-around and numbers of passes, in float64 and float32."""
    for dtype, codec, tolerance in ((torch.float64, "fp64", 1e-9), (torch.float32, "fp32", 1e-5)):
        dynamics = random_dynamics(window=window).to(dtype)
        said = live(Dreamer(dynamics, B, clips(dynamics), kind=kind, lazy=lazy, codec=codec), deeds)
        past = Past(dynamics.double(), clips(dynamics.to(dtype)))
        for got, want in zip(said, live(past, deeds), strict=True):  # type: ignore[arg-type]
            torch.testing.assert_close(got, want.to(dtype), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("lazy", [False, True])
@few
@given(deeds=life, window=st.integers(1, 4))
def test_pages_say_what_their_codecs_numbers_say(codec: str, lazy: bool, deeds: list, window: int):
    """Every codec adds its own rounding and nothing else: the oracle rounds alike, keeps lists and attends by hand.

    Codes of few bits are compared in a network of one block, where what is coded does not depend on what was decoded:
    else a rounding error could tip one code, and two right answers differ. They are decoded in float32.
    """
    plain = isinstance(codec_named(codec), Plain)
    dynamics = random_dynamics(window=window, depth=2 if plain else 1)
    pages = Dreamer(dynamics, B, clips(dynamics), kind="pages", lazy=lazy, codec=codec)
    lists = Dreamer(dynamics, B, clips(dynamics), kind="list", lazy=False, codec=codec)
    for got, want in zip(live(pages, deeds), live(lists, deeds), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-8 if plain else 1e-5)


@pytest.mark.parametrize("codec", CODECS)
@few
@given(deeds=life)
def test_what_is_stored_is_within_the_codecs_bound(codec: str, deeds: list):
    """Of the first layer, whose keys and values do not depend on what was stored before."""
    dynamics = random_dynamics()
    pages = Dreamer(dynamics, B, clips(dynamics), kind="pages", lazy=False, codec=codec)
    lists = Dreamer(dynamics, B, clips(dynamics), kind="list", lazy=False)
    live(pages, deeds), live(lists, deeds)
    coder, window = codec_named(codec), dynamics.config.window
    for row, past in enumerate(lists.cache.frames):
        for frame, t in list(zip(past[::-1], range(len(past) - 1, -1, -1), strict=True))[:window]:
            page = int(pages.cache.table[row, t % window])
            assert (page < 0) == (frame is None)
            for side in range(2) if frame is not None else ():
                held = coder.decode(tuple(part[page] for part in pages.pool.stores[0][side]), torch.float64)
                exact = frame[0][side]
                assert ((held - exact).abs() <= coder.error_bound(exact) + 1e-7).all()


@pytest.mark.parametrize("lazy", [False, True])
@few
@given(deeds=life, window=st.integers(1, 4))
def test_pages_are_counted_right_never_leak_and_never_change_while_named(lazy: bool, deeds: list, window: int):
    dynamics = random_dynamics(window=window, depth=1)
    dreamer = Dreamer(dynamics, B, clips(dynamics), kind="pages", lazy=lazy)
    pool, written = dreamer.pool, {}

    def check(dreamer: Dreamer) -> None:
        table = dreamer.cache.table
        named = Counter(table[table >= 0].tolist()) + Counter(pool.pinned.nonzero()[:, 0].tolist())
        assert {page: count for page, count in enumerate(pool.counts(table).tolist()) if count} == dict(named)
        assert pool.left(table) == pool.pages - len(named) >= B
        free = pool.free(pool.pages, table).tolist()
        assert free == sorted(set(range(pool.pages)) - set(named)) + [pool.pages] * len(named)
        now = {page: pool.copy_pages(torch.tensor([page])) for page in named}
        for page in set(now) & set(written):
            assert all(torch.equal(a, b) for a, b in zip(now[page], written[page], strict=True))
        written.clear()
        written.update(now)

    live(dreamer, deeds, check)


def test_a_sampler_that_never_estimates_loses_no_frame():
    dynamics = random_dynamics()
    for kind in ("ring", "pages"):
        lazy, eager = (Dreamer(dynamics, B, clips(dynamics), kind=kind, lazy=lazy) for lazy in (True, False))
        deeds = [("step", 1), ("step", 1)]
        skipped = live(_Skips(lazy), deeds)
        for got, want in zip(skipped[1:], live(eager, deeds)[1:], strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=1e-9)


class _Skips:
    """A dreamer whose first step estimates nothing."""

    def __init__(self, dreamer: Dreamer) -> None:
        self.dreamer, self.first = dreamer, True

    def __getattr__(self, name: str):
        return getattr(self.dreamer, name)

    def step(self, action: Tensor, noised: Tensor, level: Tensor, latent: Tensor, passes: int) -> Tensor:
        passes, self.first = (0 if self.first else passes), False
        return self.dreamer.step(action, noised, level, latent, passes)
