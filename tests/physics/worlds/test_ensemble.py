"""The verifier's worlds: around their centre, evenly spread, replayed as by themselves, and joined by majority."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from physics import TaskError, World, record_clips
from physics.mechanics.control_model import control_model
from physics.mechanics.simulator import Simulator
from physics.worlds import consensus, ensemble, replay

TASK = "wmenv/InvertedPendulum-v0"


def test_the_first_world_is_the_centre_and_the_others_lie_within_the_spread() -> None:
    centre = World(mass=1.2, friction=0.5)
    worlds = ensemble(8, 0.15, seed=1, centre=centre)
    assert worlds[0] == centre and len(set(worlds)) == 8
    middle = np.array(tuple(asdict(centre).values()))
    off = np.array([np.log(np.array(tuple(asdict(w).values())) / middle) for w in worlds[1:]])
    assert np.abs(off).max() <= 0.15 and np.abs(off).max() > 0.1


def test_every_parameter_takes_one_value_of_each_stratum() -> None:
    off = np.log([tuple(asdict(w).values()) for w in ensemble(8, 0.2)[1:]])
    strata = np.floor((off / 0.2 + 1) / 2 * 7)
    assert (np.sort(strata, axis=0) == np.arange(7)[:, None]).all()


def test_the_seed_decides() -> None:
    assert ensemble(8, seed=3) == ensemble(8, seed=3) != ensemble(8, seed=4)
    assert ensemble(1) == (World(),) and ensemble(4, 0.0) == (World(),) * 4


def test_worlds_stay_allowed_at_the_edges() -> None:
    worlds = ensemble(8, 1.0, centre=World(mass=0.01, friction=0.0, gear=100.0))
    assert all(w.mass >= 0.01 and w.friction == 0 and w.gear <= 100 for w in worlds)


@pytest.mark.parametrize(
    ("num", "spread", "name"), [(0, 0.1, "num"), (2.5, 0.1, "num"), (3, -0.1, "spread"), (3, np.nan, "spread")]
)
def test_bad_sizes_are_named(num: int, spread: float, name: str) -> None:
    with pytest.raises(TaskError, match=rf"^{name}: expected"):
        ensemble(num, spread)


def test_a_replay_in_many_worlds_is_each_clip_in_each_world() -> None:
    m, worlds = control_model(TASK), ensemble(3, 0.3)
    clips = record_clips(TASK, 4, 6)
    qpos, qvel = np.stack([c.qpos[0] for c in clips]), np.stack([c.qvel[0] for c in clips])
    action = np.stack([np.asarray(c.action) for c in clips])
    out = replay(m, worlds, qpos, qvel, action, threads=1)
    assert out.qpos.shape == (3, 4, 5, 2) and out.diverged.shape == (3, 4, 5)
    for k, world in enumerate(worlds):
        model = m.model.__copy__()
        world.apply(model)
        alone = Simulator(replace(m, model=model), 4, 1).rollout(qpos, qvel, action)
        assert np.array_equal(alone.qpos, out.qpos[k]) and np.array_equal(alone.qvel, out.qvel[k])
    recorded = np.stack([c.qpos[1:] for c in clips])
    assert np.allclose(out.qpos[0], recorded, atol=1e-9), "the nominal world recorded them"
    assert not np.allclose(out.qpos[1], recorded, atol=1e-3)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    m, worlds = control_model(TASK), ensemble(3, 0.3)
    rng = np.random.default_rng(0)
    start = (rng.normal(size=(4, 2)) * 0.1, rng.normal(size=(4, 2)), rng.uniform(-1, 1, (4, 3, 1)))
    whole = replay(m, worlds, *start, threads=1)
    monkeypatch.setattr("physics.worlds.copies.CHUNK", 5)
    parts = replay(m, worlds, *start, threads=1)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


@pytest.mark.parametrize("num", [1, 2, 5, 8])
def test_the_joint_score_is_above_one_exactly_where_most_worlds_are(num: int) -> None:
    for above in range(num + 1):
        scores = np.where(np.arange(num) < above, 3.0, 0.5)[np.random.default_rng(above).permutation(num)]
        found = consensus(scores[:, None])
        assert (found.score[0] > 1) == (2 * above > num)
        assert found.agreement[0] == pytest.approx(above / num)
        assert (found.spread[0] > 0) == (0 < above < num)
