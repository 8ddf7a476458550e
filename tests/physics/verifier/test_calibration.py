"""What 'as good as real' means, in numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from physics import register_task
from physics.tasks import registry
from physics.verifier import shipped
from physics.verifier.__main__ import main
from physics.verifier.calibration import BEYOND, CAP, Scale, combined, relative, upper_bound

SCALES = {
    "innovation": Scale(frame=2.0, frame_most=4.0, clip=1.0, clip_most=2.0, bend=0.5),
    "innovation_8": Scale(frame=2.0, frame_most=4.0, clip=4.0, clip_most=9.0, bend=1.0),
    "drift": Scale(frame=2.0, frame_most=4.0, clip=0.5, clip_most=1.0, bend=1.0),
    "float": Scale(frame=0.1, frame_most=0.4, clip=0.1, clip_most=0.2, bend=0.5),
}


def test_a_scale_is_read_off_real_clips():
    values = np.tile(np.arange(101.0)[:, None], (1, 5))
    scale = Scale.fitted(values, floor=0.1)
    assert (scale.clip, scale.frame, scale.clip_most, scale.bend) == (95, 95, 100, 1)
    assert Scale.fitted(np.zeros((30, 4)), floor=0.1).clip == 0.1, "what never happens still has a scale"


def test_heavy_tails_are_bent():
    values = np.ones((1000, 3))
    values[-40:] = 50.0
    values[-100:-40] = 2.0
    scale = Scale.fitted(values, floor=0.1)
    assert scale.bend < 1 and relative(scale, np.array([50.0]), frames=False, alone=True) < 5


def test_with_actions_the_geometric_mean_of_the_replays_counts():
    means = {"innovation": np.array([1.0]), "innovation_8": np.array([8.0]), "drift": np.array([2.0])}
    assert combined(SCALES, means)[0] == pytest.approx((1 * 2 * 4) ** (1 / 3))
    quiet = means | {"float": np.array([0.2 * BEYOND])}
    assert combined(SCALES, quiet)[0] == pytest.approx(2.0), "what real clips reach too does not count beside them"
    loud = means | {"float": np.array([0.2 * BEYOND * 3])}
    assert combined(SCALES, loud)[0] == pytest.approx(3.0)


def test_without_actions_the_largest_counts():
    assert combined(SCALES, {"float": np.array([0.4])})[0] == pytest.approx(2.0)
    assert combined(SCALES, {"float": np.array([1e12])})[0] == CAP


def test_frames_have_scales_of_their_own():
    found = combined(SCALES, {"float": np.array([[0.1, 1.6]])}, frames=True)
    np.testing.assert_allclose(found, [[1.0, 4.0]])


@pytest.mark.parametrize("count", [59, 93, 256])
def test_the_bound_holds_for_19_of_20_samples(count: int):
    """Uniform values: the true 95th percentile is 0.95, and what is beyond the bound is 1 less the bound."""
    drawn = np.random.default_rng(0).uniform(size=(2000, count))
    bounds = np.array([upper_bound(values) for values in drawn])
    assert 0.93 < (bounds >= 0.95).mean() < 0.99
    assert all(bound in values for bound, values in zip(bounds[:9], drawn, strict=False))
    assert upper_bound(np.arange(40.0)) == 39, "of too few the largest"


def test_only_what_is_missing_is_calibrated(tmp_path, monkeypatch: pytest.MonkeyPatch):
    made = []

    class Known:
        def save(self, path):
            path.write_text("{}")

    def fresh(task: str, noise: float) -> Known:
        made.append((task, noise))
        return Known()

    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "known")
    monkeypatch.setattr(shipped, "fresh_calibration", fresh)
    assert main(["--tasks", "a", "b", "--noise", "0", "0.02"]) == 0
    assert made == [("a", 0.0), ("b", 0.0), ("a", 0.02), ("b", 0.02)] and shipped.calibration_path("a", 0.02).exists()
    shipped.calibration_path("b", 0.0).unlink()
    main(["--tasks", "a", "b", "--noise", "0", "0.02"])
    assert made[4:] == [("b", 0.0)]


def test_only_the_projects_own_tasks_have_shipped_calibrations(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shipped, "fresh_calibration", lambda task, noise: f"fresh {task}")
    monkeypatch.setattr(registry, "_specs", dict(registry._specs))
    register_task("wmenv-Hopper-v0", source="Hopper-v5")
    assert shipped.calibration_path("wmenv-Hopper-v0", 0.02).exists(), "the file of another task"
    assert shipped.known_calibration("wmenv-Hopper-v0", 0.02) == "fresh wmenv-Hopper-v0"
    assert shipped.known_calibration("wmenv/Hopper-v0", 0.02).task == "wmenv/Hopper-v0"
