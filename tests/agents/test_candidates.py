"""What policies are compared by: equal only where their recordings say so, however long they are."""

from dataclasses import replace

import numpy as np
import pytest

from agents import candidates
from agents.candidates import Contest, check_begun, foretold_returns
from agents.rows import append_row, read_rows
from wmenv import DataInfo, EpisodeStore, InputError
from wmenv.data import Episode


def _episode(steps, reward=1.0, terminated=False):
    state = np.zeros((steps + 1, 2), np.float32)
    return Episode(
        state=state,
        action=np.zeros((steps, 1), np.float32),
        reward=np.full(steps, reward),
        terminated=terminated,
        truncated=False,
        qpos=np.zeros((steps + 1, 1)),
        qvel=np.zeros((steps + 1, 1)),
    )


def test_who_falls_less_often_is_worth_more():
    falls = [_episode(100, terminated=True), _episode(100, terminated=True), _episode(200)]
    worth = foretold_returns({"falls": falls, "stands": [_episode(400)]}, 1000)
    assert worth == {"falls": pytest.approx(400 / 3), "stands": 400}
    worth = foretold_returns({"falls": falls, "stands": [_episode(3000)]}, 1000)
    assert worth["stands"] == 1000, "no episode goes on beyond its limit"


@pytest.mark.parametrize("limit", [None, 1000])
def test_where_nobody_falls_more_of_a_recording_is_worth_no_more(limit):
    for sign in (1, -1):
        worth = foretold_returns({"long": [_episode(900, sign * 1.0)], "short": [_episode(300, sign * 1.0)]}, limit)
        assert worth["long"] == pytest.approx(worth["short"])
        worth = foretold_returns({"long": [_episode(900, sign * 1.0)], "better": [_episode(300, sign + 0.1)]}, limit)
        assert worth["better"] > worth["long"]


@pytest.fixture
def contest(tmp_path, monkeypatch):
    """Two policies, of which the second is better, after a round of one; over a store of synthetic episodes."""
    info = DataInfo(
        task="wmenv/Reacher-v0",
        fps=50.0,
        size=None,
        state_names=("a", "b"),
        state_groups=(0, 1),
        action_low=(-1.0,),
        action_high=(1.0,),
        max_episode_steps=50,
        policy="test",
        seed=0,
        world={},
    )
    store = EpisodeStore.create(tmp_path / "data", info)
    store.append([_episode(10)])
    monkeypatch.setattr(candidates.Policy, "load", staticmethod(lambda folder: (folder / "who").read_text()))

    def imagine(k, into):
        into.mkdir(parents=True)
        (into / "who").write_text(f"{into.parent.name} {into.name}")

    def record(share, folder, name):
        better = {"policy-1": 2.0, "before": 1.5}.get(name, 1.0)
        EpisodeStore.open(tmp_path / "data").append([_episode(20, better)])

    here, before = tmp_path / "round-1", tmp_path / "round-0"
    (before / "policy").mkdir(parents=True)
    (before / "policy" / "who").write_text("round-0 the one")
    return Contest(here=here, count=2, data=tmp_path / "data", imagine=imagine, record=record, before=before)


def test_a_round_of_several_may_follow_one_of_a_single_policy(contest, tmp_path):
    assert contest.run() == "round-1 policy-1"
    rows = read_rows(tmp_path / "round-1" / "candidates.jsonl")
    assert [row.get("policy") for row in rows] == ["policy-0", "policy-1", "before", "policy-1", None]


@pytest.mark.parametrize(("earlier", "kept"), [(2.0, "round-0 policy-0"), (1.2, "round-1 policy-0")])
def test_a_single_policy_meets_the_one_before(contest, tmp_path, earlier, kept):
    """The one before records 2.0 or 1.2 a step between the rounds and 1.5 in the final, the new one 1.6."""
    before = replace(contest, here=tmp_path / "round-0", count=1, before=None)
    assert before.run() == "round-0 policy-0", "who has nobody to meet goes on at once"
    assert EpisodeStore.open(tmp_path / "data").num_episodes == 1
    store = EpisodeStore.open(tmp_path / "data")
    store.append([_episode(40, earlier)])  # the next round's data, by the one that is to be met

    def record(share, folder, name):
        shares.append((share, name))
        EpisodeStore.open(tmp_path / "data").append([_episode(20, {"before": 1.5, "policy-0": 1.6}[name])])

    shares = []
    assert replace(contest, count=1, record=record).run() == kept
    assert shares == [(0.5, "policy-0"), (0.75, "before"), (1.0, "policy-0")]
    end = read_rows(tmp_path / "round-1" / "candidates.jsonl")[-1]
    assert end["episodes"] == ([[1, 2], [3, 4]] if kept.startswith("round-0") else [[2, 3], [4, 5]])
    assert replace(contest, count=1, record=record).run() == kept and len(shares) == 3, "it is over"


def test_a_round_goes_on_with_as_many_policies_as_it_was_begun_with(tmp_path):
    append_row(tmp_path / "candidates.jsonl", {"policies": 4, "policy": "policy-0", "first_episode": 0})
    check_begun(tmp_path, 4)
    for count in (1, 3):
        with pytest.raises(InputError, match=f"policies: expected 4, with which .* was begun, got {count}"):
            check_begun(tmp_path, count)
    check_begun(tmp_path / "new", 1)
