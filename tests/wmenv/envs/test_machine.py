"""Any order of calls: a vector of dreams must stay equal to single dreams, and refuse nonsense without a trace."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.wmenv.envs.toy import ToyModel
from wmenv.envs import DreamClosed, DreamNotReset, DreamVectorEnv
from wmenv.errors import InputError

ROWS = 3
MODEL = ToyModel(denoise_steps=1)
seeds = st.integers(0, 2**62)
masks = st.lists(st.booleans(), min_size=ROWS, max_size=ROWS).map(np.array)
wrong_actions: tuple[Any, ...] = (
    np.zeros((ROWS, 3)),
    np.zeros((ROWS + 1, 2)),
    np.zeros(2),
    np.full((ROWS, 2), np.nan),
    np.full((ROWS, 2), -np.inf),
    np.full((ROWS, 2), "x"),
    np.zeros((ROWS, 2), bool),
    None,
    [[0], [0, 0], [1]],
)


class Calls(RuleBasedStateMachine):
    """Steps, resets, saves, loads, forks and closes in any order; `singles` are the oracle, one dream each."""

    mode = "SameStep"

    def __init__(self) -> None:
        super().__init__()
        self.envs = self._make(ROWS)
        self.singles = [self._make(1) for _ in range(ROWS)]
        self.begun = False
        self.closed = False
        self.ended = np.zeros(ROWS, bool)
        self.saved: tuple | None = None

    def _make(self, num_envs: int) -> DreamVectorEnv:
        return DreamVectorEnv(MODEL, num_envs, horizon=4, autoreset_mode=self.mode)

    @rule(seed=seeds)
    def reset(self, seed: int) -> None:
        if self.closed:
            with pytest.raises(DreamClosed):
                self.envs.reset(seed=seed)
            return
        obs, _ = self.envs.reset(seed=seed)
        assert np.array_equal(obs, np.concatenate([env.reset(seed=seed + i)[0] for i, env in enumerate(self.singles)]))
        self.begun, self.ended[:] = True, False

    @rule(mask=masks, seed=st.none() | seeds)
    def reset_some(self, mask: np.ndarray, seed: int | None) -> None:
        wrong = DreamClosed if self.closed else InputError if not mask.any() else None
        wrong = wrong or (DreamNotReset if not self.begun and not mask.all() else None)
        if wrong or not self.begun:
            if wrong:
                with pytest.raises(wrong):
                    self.envs.reset(seed=seed, options={"reset_mask": mask})
            return
        obs, info = self.envs.reset(seed=seed, options={"reset_mask": mask})
        assert np.array_equal(info["_start"], mask)
        for i in np.flatnonzero(mask):
            assert np.array_equal(obs[i], self.singles[i].reset(seed=None if seed is None else seed + int(i))[0][0])
        self.ended &= ~mask

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        number = st.floats(-3, 3, width=32)
        action = np.array(data.draw(st.lists(number, min_size=2 * ROWS, max_size=2 * ROWS))).reshape(ROWS, 2)
        wrong = DreamClosed if self.closed else DreamNotReset if not self.begun or self.ended.any() else None
        if wrong:
            with pytest.raises(wrong):
                self.envs.step(action)
            return
        obs, reward, terminated, truncated, info = self.envs.step(action)
        for i, env in enumerate(self.singles):
            one = env.step(action[i : i + 1])
            assert all(
                np.array_equal(a[i : i + 1], b)
                for a, b in zip((obs, reward, terminated, truncated), one[:4], strict=True)
            )
            assert ("final_obs" in one[4]) == bool(info.get("_final_obs", np.zeros(ROWS, bool))[i])
            if "final_obs" in one[4]:
                assert np.array_equal(info["final_obs"][i], one[4]["final_obs"][0])
        if self.mode == "Disabled":
            self.ended = terminated | truncated

    @rule(action=st.sampled_from(wrong_actions))
    def step_wrongly(self, action: Any) -> None:
        with pytest.raises((InputError, DreamClosed, DreamNotReset)):
            self.envs.step(action)

    @rule()
    def save(self) -> None:
        if self.closed or not self.begun:
            with pytest.raises(DreamClosed if self.closed else DreamNotReset):
                self.envs.save_state()
            return
        self.saved = self.envs.save_state(), [env.save_state() for env in self.singles], self.ended.copy()

    @rule()
    def load(self) -> None:
        if self.saved is None:
            return
        whole, ones, ended = self.saved
        if self.closed:
            with pytest.raises(DreamClosed):
                self.envs.load_state(whole)
            return
        obs = self.envs.load_state(whole)
        loaded = [env.load_state(one) for env, one in zip(self.singles, ones, strict=True)]
        assert np.array_equal(obs, np.concatenate(loaded))
        self.begun, self.ended = True, ended.copy()

    @rule(source=st.integers(-1, ROWS), copies=st.lists(st.integers(-1, ROWS), max_size=ROWS))
    def fork(self, source: int, copies: list[int]) -> None:
        good = all(0 <= row < ROWS for row in (source, *copies)) and len(set(copies)) == len(copies)
        wrong = DreamClosed if self.closed else DreamNotReset if not self.begun else None if good else InputError
        if wrong:
            with pytest.raises(wrong):
                self.envs.fork(source, copies)
            return
        self.envs.fork(source, copies)
        kept = self.singles[source].save_state()
        for row in copies:
            self.singles[row].load_state(kept)
        self.ended[copies] = self.ended[source]

    @rule(really=st.integers(0, 5))
    def close(self, really: int) -> None:
        if really == 0:
            self.envs.close()
            self.closed = True

    @invariant()
    def the_random_numbers_agree(self) -> None:
        if self.begun and not self.closed:
            whole, ones = self.envs.save_state().core, [env.save_state().core for env in self.singles]
            for name in ("seed", "counter", "elapsed"):
                assert getattr(whole, name).tolist() == [getattr(one, name).item() for one in ones]


class DisabledCalls(Calls):
    mode = "Disabled"


def run(machine: type[Calls], examples: int) -> None:
    quiet = settings(
        max_examples=examples,
        stateful_step_count=12,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=quiet)


@pytest.mark.parametrize("machine", [Calls, DisabledCalls])
def test_any_order_of_calls(machine: type[Calls]) -> None:
    run(machine, 60)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", [Calls, DisabledCalls])
def test_ten_thousand_orders_of_calls(machine: type[Calls]) -> None:
    run(machine, int(os.environ.get("WMENV_SEQUENCES", "10000")))
