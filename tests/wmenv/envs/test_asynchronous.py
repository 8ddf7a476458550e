"""Dreams out of step are the dreams in step: whoever waits, ends early or takes more passes, each row stays itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.wmenv.envs.test_paged import tiny
from tests.wmenv.envs.toy import ToyModel
from wmenv.envs import (
    AsyncDreamVectorEnv,
    DreamClosed,
    DreamCore,
    DreamMemoryError,
    DreamNotReset,
    DreamVectorEnv,
    stream,
)
from wmenv.errors import InputError
from wmenv.random import normal
from wmenv.sampling import RestingSampler

B = 5


def push(rows: np.ndarray, t: np.ndarray) -> np.ndarray:
    """What row i does at its step t, whenever that is."""
    return np.sin(rows * 1.7 + t)[:, None]


def in_step(model: Any, life: int, **options: Any) -> list[tuple]:
    """(obs, reward, terminated, truncated, final_obs) of all rows at each step, by the synchronous environment."""
    envs = DreamVectorEnv(model, B, **options)
    envs.reset(seed=3)
    out = []
    for t in range(life):
        obs, reward, terminated, truncated, info = envs.step(push(np.arange(B), np.full(B, t)))
        final = info.get("final_obs", np.zeros_like(obs))
        out.append((obs, reward, terminated, truncated, final))
    return out


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(
    st.integers(1, B),
    st.lists(st.lists(st.integers(0, B - 1), max_size=B, unique=True), min_size=4, max_size=10),
    st.integers(1, 3),
    st.booleans(),
)
def test_whoever_waits_dreams_what_it_would_have_dreamed(batch: int, slow: list, steps: int, ends: bool) -> None:
    """Rows named in `slow` hold back their actions for a round; the ring wraps around and episodes end in between."""
    model, life = tiny(3, ends=ends), 9
    want = in_step(model, life, steps=steps, horizon=6)
    envs = AsyncDreamVectorEnv(model, B, batch_size=batch, steps=steps, horizon=6)
    envs.async_reset(seed=3)
    made, held, turn, seen = np.zeros(B, dtype=int), [], 0, 0
    while seen < 40:
        late = set(slow[turn % len(slow)]) if turn < 2 * len(slow) else set()
        go = np.array([row for row in held if row not in late], dtype=int)
        held = [row for row in held if row in late]
        if len(go):
            envs.send(push(go, made[go]), go)
            made[go] += 1
        turn += 1
        if B - len(held) < batch:
            continue
        obs, reward, terminated, truncated, info = envs.recv()
        rows = info["env_id"]
        assert len(set(rows)) == len(rows) == batch
        for i, row in enumerate(rows):
            if 0 < made[row] <= life:
                expected = [field[row] for field in want[made[row] - 1]]
                got = [obs[i], reward[i], terminated[i], truncated[i], info.get("final_obs", np.zeros_like(obs))[i]]
                for one, other in zip(got, expected, strict=True):
                    np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)
                seen += 1
        seen += all(made > life) * 40
        held += rows.tolist()


def test_rows_with_fewer_steps_arrive_first_and_are_the_dreams_of_fewer_steps() -> None:
    model = tiny()
    envs = AsyncDreamVectorEnv(model, B, batch_size=1)
    envs.async_reset(seed=3)
    rows = np.array([envs.recv()[-1]["env_id"][0] for _ in range(B)])
    assert rows.tolist() == [*range(B)]
    envs.send(push(rows, np.zeros(B)), steps=[4, 1, 4, 1, 4])
    quick, slow = in_step(model, 1, steps=1)[0], in_step(model, 1, steps=4)[0]
    for row, dream in ((1, quick), (3, quick), (0, slow), (2, slow), (4, slow)):
        obs, reward, *_, info = envs.recv()
        assert info["env_id"].tolist() == [row]
        np.testing.assert_allclose(obs[0], dream[0][row], atol=1e-5)
        np.testing.assert_allclose(reward[0], dream[1][row], atol=1e-5)
    assert np.abs(slow[0][0] - in_step(model, 1, steps=1)[0][0][0]).max() > 1e-3  # the number of steps does matter


@pytest.mark.parametrize("tolerance", [1e-9, 0.1, 1e9])
def test_a_tolerance_ends_easy_frames_early_as_its_sampler_says(tolerance: float) -> None:
    """Frame by frame the dream of `RestingSampler`, at the number of passes that it counts."""
    model, rows = tiny(), np.arange(B)
    envs = AsyncDreamVectorEnv(model, B, steps=8, tolerance=tolerance)
    envs.async_reset(seed=3)
    *_, info = envs.recv()
    sampler, state = RestingSampler(tolerance), model.start_lazily(torch.from_numpy(info["start"]))
    for t in range(3):
        action = push(rows, np.full(B, t)).astype(np.float32)
        obs, *_, info = envs.step(action, rows)
        noise = normal(torch.arange(3, 3 + B), torch.full((B,), 1 + t), (8, *model.latent_shape))
        state = model.step(state, torch.from_numpy(action), noise, sampler=sampler).state
        np.testing.assert_allclose(obs[np.argsort(info["env_id"])], model.latent_observation(state), atol=1e-5)
    assert envs._stream is not None
    assert envs._stream.passes == sampler.passes
    cost = sampler.passes / sampler.frames
    assert {1e-9: cost == 8, 0.1: 2 < cost < 8, 1e9: cost == 2}[tolerance]  # to see a change takes two estimates


@pytest.mark.parametrize("fails", ["estimate_some", "arrive", "outcome", "observe", "begin"])
def test_a_step_whose_memory_ran_out_is_had_by_the_next_recv(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it runs out, once for each recv: what the other environment tells of each row is told in the end."""
    model = tiny(3, ends=True)
    want = in_step(model, 4, steps=2, horizon=3)
    envs = AsyncDreamVectorEnv(model, B, steps=2, horizon=3)
    envs.async_reset(seed=3)
    envs.recv()
    places: dict[str, Any] = {"estimate_some": stream, "arrive": type(model), "outcome": DreamCore, "begin": DreamCore}
    holder = places.get(fails, AsyncDreamVectorEnv)
    name = "_observe" if fails == "observe" else fails
    works, broken = getattr(holder, name), []

    def once(*given: Any, **options: Any) -> Any:
        if not broken:
            broken.append(True)
            raise torch.OutOfMemoryError("out of memory")
        return works(*given, **options)

    for t in range(4):
        envs.send(push(np.arange(B), np.full(B, t)))
        broken.clear()
        monkeypatch.setattr(holder, name, once)
        try:
            got = envs.recv()
            assert fails == "begin", "of these each step has one"
        except DreamMemoryError as error:
            assert str(error).endswith("Nothing is lost")
            got = envs.recv()
        monkeypatch.setattr(holder, name, works)
        order = np.argsort(got[-1]["env_id"])
        for one, other in zip(got[:4], want[t], strict=False):
            np.testing.assert_allclose(one[order], other, atol=1e-5)


def test_without_a_seed_rows_go_on_in_their_own_streams() -> None:
    """As with `reset`: seeded once, all later episodes follow; and one row alone may be given a new seed."""
    first, second = [], []
    for told in (first, second):
        envs, sync = AsyncDreamVectorEnv(tiny(), B), DreamVectorEnv(tiny(), B)
        for seed in (5, None, [None, 9, None, None, None]):
            envs.async_reset(seed=seed)
            told.append(envs.recv()[0])
            assert np.array_equal(told[-1], sync.reset(seed=seed)[0])
    assert not np.array_equal(first[0], first[1])
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_what_it_says_of_an_end_is_what_the_other_says() -> None:
    model = tiny(3, ends=True)
    envs, sync = AsyncDreamVectorEnv(model, B, horizon=2), DreamVectorEnv(model, B, horizon=2)
    envs.async_reset(seed=3), sync.reset(seed=3), envs.recv()
    for t in range(4):
        action = push(np.arange(B), np.full(B, t))
        info, other = envs.step(action)[-1], sync.step(action)[-1]
        order = np.argsort(info.pop("env_id"))
        assert set(info) - {"_env_id"} == set(other)
        for name in {"final_obs", "_final_obs", "start", "_start"} & set(other):
            np.testing.assert_allclose(info[name][order], other[name], atol=1e-5)


def test_what_is_shown_of_a_diverged_row_is_in_the_space() -> None:
    """Also where the recorded states, and so the space, are far from 0."""
    model = tiny(state_low=(2.0, 3.0), state_high=(4.0, 5.0))
    envs = AsyncDreamVectorEnv(model, B, obs="state")
    envs.async_reset(seed=0), envs.recv()
    model.dynamics.head.bias.fill_(torch.nan)
    obs, _, _, truncated, info = envs.step(np.zeros((B, 1), np.float32))
    assert truncated.all() and all(inner for inner in info["final_info"]["diverged"])
    assert obs in envs.observation_space and info["final_obs"] in envs.observation_space


def test_nobody_to_send_is_nothing_sent_and_a_block_closes() -> None:
    with AsyncDreamVectorEnv(tiny(), B) as envs:
        envs.async_reset(seed=0)
        envs.recv()
        envs.send(np.zeros((0, 1), np.float32), [])
        with pytest.raises(InputError, match="got 0"):
            envs.recv()
    assert envs.closed


def test_first_observations_come_without_a_step() -> None:
    envs = AsyncDreamVectorEnv(tiny(), B, batch_size=2)
    envs.async_reset(seed=3)
    first, _ = DreamVectorEnv(tiny(), B).reset(seed=3)
    obs, reward, terminated, truncated, info = envs.recv()
    assert np.array_equal(obs, first[:2])
    assert not (reward.any() or terminated.any() or truncated.any())
    assert info["_start"].all()
    assert obs.shape == envs.observation_space.shape


def test_what_is_refused_takes_nothing() -> None:
    envs = AsyncDreamVectorEnv(tiny(), B, batch_size=B)
    with pytest.raises(DreamNotReset, match="async_reset"):
        envs.recv()
    envs.async_reset(seed=3)
    nobody = np.zeros((1, 1), np.float32)
    with pytest.raises(InputError, match="env_id: expected rows that recv has handed out, got \\[0\\]"):
        envs.send(nobody, [0])
    envs.recv()
    rows = np.arange(B)
    with pytest.raises(InputError, match="recv: expected at least batch_size = 5 rows with actions, got 0"):
        envs.recv()
    for actions, ids, steps, name in (
        (np.full((B, 1), np.nan), rows, None, "action"),
        (np.zeros((B, 2)), rows, None, "action"),
        (np.zeros((2, 1)), [1, 1], None, "env_id"),
        (np.zeros((1, 1)), [B], None, "env_id"),
        (np.zeros((B, 1)), rows, 0, "steps"),
        (np.zeros((B, 1)), rows, [1, 2], "steps"),
    ):
        with pytest.raises(InputError, match=name):
            envs.send(actions, ids, steps=steps)
    obs, *_ = envs.step(push(rows, np.zeros(B)), rows)
    np.testing.assert_allclose(obs, in_step(tiny(), 1)[0][0], atol=1e-5)
    envs.close()
    with pytest.raises(DreamClosed):
        envs.recv()


def test_bad_options_are_named() -> None:
    for options, name in (
        ({"batch_size": B + 1}, "batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"tolerance": "0.05"}, "tolerance"),
        ({"tolerance": True}, "tolerance"),
        ({"steps": 0}, "steps"),
        ({"obs": "frames"}, "obs"),
    ):
        with pytest.raises(InputError, match=name):
            AsyncDreamVectorEnv(tiny(), B, **options)
    with pytest.raises(InputError, match="expected a wmenv.WorldModel"):
        AsyncDreamVectorEnv(ToyModel(), B)
    with pytest.raises(InputError, match="any-step"):
        AsyncDreamVectorEnv(tiny(distilled=("flow_map",)), B, tolerance=0.1)
