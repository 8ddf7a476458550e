"""What 'as good as real' means, in numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from physics.calibration import BEYOND, CAP, Scale, combined, relative

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
