"""Dreams that a verifier judges: what it is asked, what its scores do, and that nothing else changes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from tests.wmenv.envs.test_seeds import GemmModel
from tests.wmenv.envs.test_vector import actions_of
from tests.wmenv.envs.toy import ToyModel
from wmenv.envs import DreamEnv, DreamNotReset, DreamVectorEnv, Verifier
from wmenv.errors import InputError


class Jumps:
    """Scores how far the first number moves in a step, in tenths, and remembers what it was asked."""

    task = "wmenv/Toy-v0"
    modality = "state"

    def __init__(self) -> None:
        self.asked: list[tuple[np.ndarray, ...]] = []

    def score(self, before: np.ndarray, action: np.ndarray, after: np.ndarray) -> np.ndarray:
        self.asked.append((before, action, after))
        return 10 * np.abs(after - before).reshape(len(before), -1)[:, 0].astype(np.float64)


class Answers(Jumps):
    """Gives the answers that it was made with, whatever it is asked."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = iter(answers)

    def score(self, before: np.ndarray, action: np.ndarray, after: np.ndarray) -> Any:
        super().score(before, action, after)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def judged(num_envs: int = 3, *answers: Any, model: Any = None, **options: Any) -> DreamVectorEnv:
    """An environment whose verifier gives these answers, after its first reset."""
    envs = DreamVectorEnv(model or ToyModel(bound=1e9), num_envs, verifier=Answers(*answers), **options)
    envs.reset(seed=0)
    return envs


ZERO = np.zeros((3, 2), np.float32)


def test_the_verifier_sees_each_step_and_nothing_between_episodes() -> None:
    verifier: Verifier = Jumps()
    envs = DreamVectorEnv(ToyModel(), 4, obs="state", horizon=7, verifier=verifier, truncate_above=None)
    shown, _ = envs.reset(seed=1)
    ends = 0
    for action in actions_of(envs, 60):
        obs, _, terminated, truncated, info = envs.step(action)
        before, push, after = verifier.asked[-1]
        ended = terminated | truncated
        assert np.array_equal(before, shown)
        assert np.array_equal(push, action)
        assert np.array_equal(after[~ended], obs[~ended])
        if ended.any():
            assert np.array_equal(after[ended], info["final_obs"][ended])
        shown, ends = obs, ends + ended.sum()
        score = 10 * np.abs(after - before)[:, 0].astype(np.float64)
        assert info["physics"].shape == (4,)
        assert info["physics"].dtype == np.float64
        assert np.array_equal(info["physics"], score)
        assert np.array_equal(info["_physics"], ~ended)
        if ended.any():
            assert np.array_equal(info["final_info"]["physics"][ended], score[ended])
            assert np.array_equal(info["final_info"]["_physics"], ended)
    assert ends > 20


def test_a_verifier_that_cuts_nothing_changes_nothing() -> None:
    for options in ({}, {"obs": "state"}, {"batch_invariant": True}):
        plain = DreamVectorEnv(ToyModel(), 5, **options)
        envs = DreamVectorEnv(ToyModel(), 5, verifier=Jumps(), truncate_above=None, **options)
        assert np.array_equal(plain.reset(seed=3)[0], envs.reset(seed=3)[0])
        for action in actions_of(envs, 50):
            want, got = plain.step(action), envs.step(action)
            for w, g in zip(want[:4], got[:4], strict=True):
                assert np.array_equal(w, g)
            assert set(got[4]) - set(want[4]) == {"physics", "_physics"}
        assert "physics" not in plain.step(action)[4]


def test_an_impossible_step_is_not_taken_and_other_rows_do_not_notice() -> None:
    class Teleporting(ToyModel):
        """Row 1 jumps far in its third step, for a large reward, and says that it has fallen."""

        def step(self, state, action, noise):
            out = super().step(state, action, noise)
            far = (state.position == 3) & (torch.arange(3) == 1)
            latents = out.state.latents + 50.0 * far[:, None, None, None]
            reward, ended = torch.where(far, 1e6, out.reward), torch.where(far, 1.0, out.termination)
            return out._replace(state=out.state._replace(latents=latents), reward=reward, termination=ended)

    envs = DreamVectorEnv(Teleporting(bound=1e9), 3, verifier=Jumps(), truncate_above=100.0)
    plain = DreamVectorEnv(ToyModel(bound=1e9), 3)
    last, _ = envs.reset(seed=8)
    plain.reset(seed=8)
    for t, action in enumerate(actions_of(envs, 40)):
        obs, reward, terminated, truncated, info = envs.step(action)
        want = plain.step(action)
        others = [0, 2] if t >= 2 else [0, 1, 2]
        for got, expected in zip((obs, reward, terminated, truncated), want[:4], strict=True):
            assert np.array_equal(got[others], expected[others])
        if t == 2:
            assert truncated.tolist() == [False, True, False]
            assert not terminated.any()
            assert reward[1] == 0
            assert np.array_equal(info["final_obs"][1], last[1])
            assert info["final_info"]["physics"][1] > 100
            assert info["final_info"]["impossible"].tolist() == [False, True, False]
            assert (info["physics"][[0, 2]] < 100).all()
            assert not np.array_equal(obs[1], last[1]), "a new episode has begun"
            assert info["_start"].tolist() == [False, True, False]
        last = obs


def test_bounds_of_the_score() -> None:
    for bound, cut in ((2.0, [False, False, True]), (1.9, [False, True, True]), (None, [False] * 3)):
        envs = judged(3, np.array([1.0, 2.0, 3.0]), truncate_above=bound)
        *_, truncated, info = envs.step(ZERO)
        assert truncated.tolist() == cut
        assert info.get("final_info", {}).get("impossible", np.zeros(3, bool)).tolist() == cut
        assert info["physics"].tolist() == [1, 2, 3]
    envs = judged(3, [1, 2, 99])
    assert envs.step(ZERO)[3].tolist() == [False, False, True], "whole numbers in a list, and the bound by default"


def test_a_score_that_is_no_number_is_the_worst() -> None:
    envs = judged(3, np.array([np.nan, -np.inf, 0.5]), np.ones(3), autoreset_mode="Disabled")
    _, reward, terminated, truncated, info = envs.step(ZERO)
    assert truncated.tolist() == [True, True, False]
    assert not terminated.any()
    assert info["physics"].tolist() == [np.inf, np.inf, 0.5]
    with pytest.raises(DreamNotReset, match="ended rows"):
        envs.step(ZERO)
    envs.reset(options={"reset_mask": truncated})
    assert not envs.step(ZERO)[3].any()


def test_a_diverged_row_has_the_worst_score_and_its_nan_meets_no_verifier() -> None:
    class Diverging(ToyModel):
        def step(self, state, action, noise):
            out = super().step(state, action, noise)
            bad = (torch.arange(3) == 1)[:, None, None, None]
            return out._replace(state=out.state._replace(latents=torch.where(bad, torch.nan, out.state.latents)))

    for bound in (10.0, None):
        envs = judged(3, np.ones(3), model=Diverging(bound=1e9), truncate_above=bound)
        obs, reward, _, truncated, info = envs.step(ZERO)
        assert truncated.tolist() == [False, True, False]
        assert reward[1] == 0
        assert np.isfinite(info["final_obs"]).all()
        assert info["final_info"]["physics"][1] == np.inf
        assert info["final_info"]["diverged"][1]
        assert all(np.isfinite(part).all() for part in envs._judge.verifier.asked[0])


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_vector_equals_gymnasiums_own_vector_of_judged_dreams(mode: AutoresetMode) -> None:
    options: dict[str, Any] = {"verifier": Jumps(), "truncate_above": 3.0}
    mine = DreamVectorEnv(ToyModel(), 4, autoreset_mode=mode, **options)
    theirs = SyncVectorEnv([lambda: DreamEnv(ToyModel(), **options)] * 4, autoreset_mode=mode)
    mine.reset(seed=3), theirs.reset(seed=3)
    cuts = 0
    for action in actions_of(mine, 200):
        got, want = mine.step(action), theirs.step(action)
        for g, w in zip(got[:4], want[:4], strict=True):
            assert np.array_equal(g, w)
        same_scores(got[4], want[4])
        ended = got[2] | got[3]
        cuts += (got[4]["physics"] > 3).sum()
        if mode is AutoresetMode.SAME_STEP:
            same_scores(got[4].get("final_info", {}), want[4].get("final_info", {}))
            for i in np.flatnonzero(ended):
                assert np.array_equal(got[4]["final_obs"][i], want[4]["final_obs"][i])
        elif ended.any():
            mine.reset(options={"reset_mask": ended}), theirs.reset(options={"reset_mask": ended})
    assert cuts > 10


def same_scores(one: dict, other: dict) -> None:
    """The same rows have a score, and the same one; without any, Gymnasium leaves the key out."""
    none = np.zeros(4, bool)
    mask = one.get("_physics", none)
    assert np.array_equal(mask, other.get("_physics", none))
    if mask.any():
        assert np.array_equal(one["physics"][mask], other["physics"][mask])


def test_a_rows_verdict_depends_on_the_row_alone() -> None:
    def roll(num_envs: int, first: int) -> np.ndarray:
        options = {"verifier": Jumps(), "truncate_above": 3.0, "batch_invariant": True}
        envs = DreamVectorEnv(GemmModel(), num_envs, **options)
        envs.reset(seed=first)
        seeds = np.arange(first, first + num_envs)[:, None] + np.arange(2)
        return np.stack([envs.step(np.sin(seeds * 1.7 + t))[4]["physics"] for t in range(60)])

    whole = roll(64, 10)
    assert (whole > 3).any(0).sum() > 10
    for row in (0, 17, 63):
        assert np.array_equal(whole[:, row : row + 1], roll(1, 10 + row))


def test_saving_loading_and_forking() -> None:
    options: dict[str, Any] = {"verifier": Jumps(), "truncate_above": 3.0, "horizon": 9}
    envs, plain = DreamVectorEnv(ToyModel(), 4, **options), DreamVectorEnv(ToyModel(), 4, horizon=9)
    envs.reset(seed=2), plain.reset(seed=2)
    actions = actions_of(envs, 30)
    envs.step(actions[0])
    snapshot = envs.save_state()
    want = [envs.step(action)[4]["physics"] for action in actions]
    envs.load_state(snapshot)
    got = [envs.step(action)[4]["physics"] for action in actions]
    assert np.array_equal(want, got)
    envs.load_state(plain.save_state())  # of an environment without a verifier
    envs.fork(0, [2])
    action = np.repeat(actions[:1, :1], 4, axis=1)[0]
    score = envs.step(action)[4]["physics"]
    assert score[0] == score[2]
    assert score[0] != score[1]


def test_frames_are_shown_to_who_looks_at_frames() -> None:
    verifier = Jumps()
    verifier.modality = "frames"
    envs = DreamVectorEnv(ToyModel("frames"), 2, verifier=verifier)
    envs.reset(seed=0)
    envs.step(np.zeros((2, 2)))
    before, _, after = verifier.asked[0]
    assert before.shape == after.shape == (2, 4, 4, 3)
    assert before.dtype == np.uint8


def test_both_checkers_pass_and_a_single_dream_has_a_number() -> None:
    unit = {"action_low": (-1.0, -1.0), "action_high": (1.0, 1.0)}
    gym.register("toy/Judged-v0", entry_point="wmenv.envs:DreamEnv", vector_entry_point="wmenv.envs:DreamVectorEnv")
    try:
        env = gym.make("toy/Judged-v0", model=ToyModel(**unit), verifier=Jumps(), truncate_above=3.0)
        check_env(env.unwrapped)
        sb3_check_env(env.unwrapped)
        env.reset(seed=0)
        assert isinstance(env.step(np.zeros(2, np.float32))[4]["physics"], float)
        envs = gym.make_vec("toy/Judged-v0", num_envs=3, model=ToyModel(), verifier=Jumps())
        envs.reset(seed=0)
        assert envs.step(ZERO)[4]["physics"].shape == (3,)
    finally:
        del gym.registry["toy/Judged-v0"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (np.ones((3, 1)), r"verifier: expected a score for each row, \(3,\) floats, got \(3, 1\) float64"),
        (np.ones(2), "expected a score for each row"),
        (1.0, "expected a score for each row"),
        (None, "expected a score for each row"),
        (["a", "b", "c"], "expected a score for each row"),
        ([[1], [1, 2], [3]], "verifier: expected scores, got ValueError"),
        (np.ones(3, bool), "got .* bool"),
        (np.ones(3, complex), "got .* complex128"),
        (ZeroDivisionError("half"), "verifier: expected scores, got ZeroDivisionError: half"),
    ],
)
def test_a_verifier_that_fails_is_named_and_the_dream_waits_for_a_reset(answer: Any, text: str) -> None:
    envs = judged(3, answer, np.ones(3))
    with pytest.raises(InputError, match=text):
        envs.step(ZERO)
    with pytest.raises(DreamNotReset):
        envs.step(ZERO)
    envs.reset(seed=0)
    envs.step(ZERO)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"task": "wmenv/Hopper-v0"}, "verifier: expected one with task 'wmenv/Toy-v0'.*got 'wmenv/Hopper-v0'"),
        ({"modality": "frames"}, "verifier: expected one with modality 'state'.*got 'frames'"),
        ({"score": None}, "verifier: expected a method score"),
        ({"truncate_above": 0}, "truncate_above: expected a positive number or None, got 0"),
        ({"truncate_above": float("nan")}, "truncate_above"),
        ({"truncate_above": True}, "truncate_above"),
        ({"truncate_above": "5"}, "truncate_above"),
    ],
)
def test_what_does_not_fit_is_refused_at_once(options: dict, text: str) -> None:
    verifier = Jumps()
    bound = {"truncate_above": options.pop("truncate_above")} if "truncate_above" in options else {}
    for name, value in options.items():
        setattr(verifier, name, value)
    with pytest.raises(InputError, match=text):
        DreamVectorEnv(ToyModel(), 2, verifier=verifier, **bound)
    with pytest.raises(InputError, match="verifier: expected one with task"):
        DreamVectorEnv(ToyModel(), 2, verifier=object())
