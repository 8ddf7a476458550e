"""Shows that differences and noise are in the units that they claim."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from physics.clips.clip import MotionClip
from physics.clips.noise import Spread, add_noise, spread_of
from physics.corruptions import changes, corrupt, departure
from physics.errors import ClipError
from physics.mechanics.control_model import control_model
from physics.mechanics.tangent import Tangent

Record = Callable[..., list[MotionClip]]


@pytest.mark.parametrize("task", ["Humanoid", "CupLift"])
def test_noise_has_the_stated_size_in_every_coordinate(real: Record, task: str) -> None:
    clip = real(task)[0]
    model = control_model(clip.task).model
    many = [clip] * 200
    spread = Spread(np.linspace(0.1, 2.0, model.nv), np.linspace(3.0, 1.0, model.nv))
    noisy = add_noise(many, 0.05, spread, seed=0)
    tangent = Tangent(model)
    position = np.concatenate([tangent.difference(clip.qpos, other.qpos) for other in noisy])
    velocity = np.concatenate([other.qvel - clip.qvel for other in noisy])
    for found, size in ((position, spread.qpos), (velocity, spread.qvel)):
        assert found.std(0) / (0.05 * size) == pytest.approx(np.ones(model.nv), rel=0.05)
        assert np.abs(found.mean(0) / (0.05 * size)).max() < 0.06
    assert np.abs(tangent.norm_error(np.stack([other.qpos for other in noisy]))).max() < 1e-9
    assert np.array_equal(noisy[0].action, clip.action)


def test_noise_has_a_seed_and_each_clip_its_own(real: Record) -> None:
    clips = [real("Hopper")[0]] * 2
    spread = spread_of(real("Hopper"))
    one, two = add_noise(clips, 0.02, spread, seed=1)
    again = add_noise(clips, 0.02, spread, seed=1)[0]
    assert np.array_equal(one.qpos, again.qpos) and not np.array_equal(one.qpos, two.qpos)
    assert not np.array_equal(one.qpos, add_noise(clips, 0.02, spread, seed=2)[0].qpos)
    assert add_noise(clips, 0.0, spread, seed=1) == clips


def test_departure_is_the_rms_of_the_coordinate_that_differs_most(real: Record) -> None:
    clip = real("Hopper")[0]
    spread = Spread(np.full(6, 0.5), np.full(6, 2.0))
    qpos, qvel = clip.qpos.copy(), clip.qvel.copy()
    qpos[:, 2] += 0.1
    qvel[: clip.frames // 2, 3] += 4.0
    moved = MotionClip(task=clip.task, qpos=qpos, qvel=clip.qvel, action=clip.action)
    both = MotionClip(task=clip.task, qpos=qpos, qvel=qvel, action=clip.action)
    claimed = MotionClip(task=clip.task, qpos=clip.qpos, qvel=clip.qvel, action=np.asarray(clip.action) + 0.3)
    assert departure(clip, clip, spread) == 0
    assert departure(clip, moved, spread) == pytest.approx(0.2)
    assert departure(clip, both, spread) == pytest.approx(2 * np.sqrt(0.5))
    assert departure(clip, claimed, spread) == pytest.approx(0.3)  # Hopper's actions lie in [-1, 1]
    assert departure(clip, clip.without_actions(), spread) == np.inf
    assert changes(clip, moved, spread) and not changes(clip, moved, spread, least=0.21)
    broken = MotionClip(task=clip.task, qpos=clip.qpos * np.nan, qvel=clip.qvel, action=clip.action)
    assert changes(clip, broken, spread)


def test_cells_where_nothing_changes_are_known(real: Record) -> None:
    """Friction means nothing to a pendulum, gravity nothing to an arm in the plane, both a lot to a walker."""
    for task, name, expected in (
        ("InvertedPendulum", "friction", False),
        ("Reacher", "gravity", False),
        ("Reacher", "damping", True),
        ("Walker2d", "mass", True),
        ("Humanoid", "gravity", True),
    ):
        clips = real(task)
        spread = spread_of(clips)
        found = [
            changes(a, b, spread) for a, b in zip(clips, corrupt(name, clips, seed=0), strict=True) if b is not None
        ]
        assert found == [expected] * 6, (task, name)


def test_spread_is_that_of_the_clips() -> None:
    random = np.random.default_rng(0)
    clips = [
        MotionClip(task="wmenv/Hopper-v0", qpos=random.normal(0, 0.3, (100, 6)), qvel=random.normal(2, 4, (100, 6)))
        for _ in range(100)
    ]
    spread = spread_of(clips)
    assert spread.qpos == pytest.approx(np.full(6, 0.3), rel=0.05) and spread.qvel == pytest.approx(
        np.full(6, 4), rel=0.05
    )


def test_errors_name_the_field(real: Record) -> None:
    clips = real("Hopper")
    with pytest.raises(ClipError, match="^spread: expected two vectors of 6"):
        add_noise(clips, 0.1, (np.ones(5), np.ones(6)), seed=0)
    for bad in (-0.1, np.nan, "much"):
        with pytest.raises(ClipError, match="^level: expected"):
            add_noise(clips, bad, spread_of(clips), seed=0)  # type: ignore[arg-type]
    for mixed in ([], [clips[0], real("Reacher")[0]]):
        with pytest.raises(ClipError, match="^clips: expected some of one task"):
            spread_of(mixed)
