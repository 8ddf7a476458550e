"""The verifier of single steps: real ones pass, teleports do not, neighbours change nothing, nothing breaks it."""

from __future__ import annotations

import numpy as np
import pytest

from physics import ClipError, DreamVerifier, TaskError, make_task
from physics.mechanics.control_model import control_model
from physics.mechanics.simulator import Simulator
from physics.verifier.calibration import CAP

Steps = tuple[np.ndarray, np.ndarray, np.ndarray]


def record(task: str, num: int, seed: int = 0) -> Steps:
    """Real steps under random actions: states before, actions, states after."""
    env = make_task(task, obs="state")
    env.action_space.seed(seed)
    steps, (state, _) = [], env.reset(seed=seed)
    while len(steps) < num:
        action = env.action_space.sample()
        after, _, terminated, truncated, _ = env.step(action)
        steps.append((state, action, after))
        state = env.reset()[0] if terminated or truncated else after
    env.close()
    before, action, after = zip(*steps, strict=True)
    return np.array(before), np.array(action), np.array(after)


@pytest.fixture(scope="module")
def hopper() -> DreamVerifier:
    return DreamVerifier("wmenv/Hopper-v0")


@pytest.fixture(scope="module")
def hops() -> Steps:
    return record("wmenv/Hopper-v0", 200)


def test_real_steps_are_as_good_as_real_and_teleports_far_from_it(hopper: DreamVerifier, hops: Steps):
    before, action, after = hops
    assert hopper.score(before, action, after).max() < 0.01, "what a simulator did, it does again"
    rng = np.random.default_rng(0)
    spread = np.std(before, axis=0)
    shaken = [state + 0.02 * spread * rng.normal(size=state.shape) for state in (before, after)]
    found = hopper.score(shaken[0], action, shaken[1])
    assert 0.05 < np.median(found) < 1 and np.mean(found > 1) < 0.1
    jumps = rng.choice([-1.0, 1.0], after.shape) * 3 * spread
    assert (hopper.score(before, action, after + jumps) > 10).all()
    other = hopper.score(before, -action, after)
    assert np.median(other) > 2, "the wrong actions"


def test_how_far_the_robot_has_come_is_not_held_against_it():
    """HalfCheetah's state leaves x out; a dream goes on from wherever it is."""
    verifier, steps = DreamVerifier("wmenv/HalfCheetah-v0"), record("wmenv/HalfCheetah-v0", 60)
    assert verifier.score(*steps).max() < 0.1


def test_it_grows_with_the_coordinate_that_is_farthest_off():
    task = "wmenv/InvertedPendulum-v0"
    verifier, (before, action, after) = DreamVerifier(task), record(task, 12)
    units = []
    for place in range(4):
        far = [verifier.score(before, action, after + by * np.eye(4)[place]) for by in (0.1, 0.2)]
        assert np.allclose(far[1], 2 * far[0], rtol=1e-3)
        units.append(0.1 / far[0][0])
    both = verifier.score(before, action, after + np.array([3, 2, 1, 0.5]) * units)
    assert np.allclose(both, 3, rtol=1e-3)
    mild = DreamVerifier(task, noise=0.1).score(before, action, after + [0.1, 0, 0, 0])
    assert (mild < 0.5 * verifier.score(before, action, after + [0.1, 0, 0, 0])).all(), "larger errors are expected"


def test_a_joint_that_turns_over_is_no_jump():
    m, verifier = control_model("wmenv/Reacher-v0"), DreamVerifier("wmenv/Reacher-v0")
    qpos, qvel = np.array([[np.pi - 0.01, 0.5, 0.1, 0.1]]), np.array([[4.0, 0.0, 0.0, 0.0]])
    went = Simulator(m, 1).rollout(qpos, qvel, np.zeros((1, 1, 2)))
    assert went.qpos[0, 0, 0] > np.pi

    def state(q: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.array([[np.cos(q[0]), np.sin(q[0]), np.cos(q[1]), np.sin(q[1]), *q[2:], *v[:2]]])

    after = state(went.qpos[0, 0], went.qvel[0, 0])
    assert verifier.score(state(qpos[0], qvel[0]), np.zeros((1, 2)), after)[0] < 1e-3


def test_a_step_is_judged_alike_alone_and_among_others(hopper: DreamVerifier, hops: Steps):
    before, action, after = hops[0], hops[1], hops[2] + 0.1
    whole = hopper.score(before, action, after)
    assert np.array_equal(whole, DreamVerifier("wmenv/Hopper-v0").score(before, action, after))
    for rows in (slice(0, 1), slice(17, 60), slice(0, 200)):
        assert np.array_equal(hopper.score(before[rows], action[rows], after[rows]), whole[rows])


def test_what_is_not_finite_or_absurd_is_the_worst_and_no_error(hopper: DreamVerifier, hops: Steps):
    for place in range(3):
        for value in (np.nan, np.inf, -np.inf, 1e12, 1e300):
            steps = [part[:4].astype(np.float64) for part in hops]
            steps[place][1, -1] = value
            found = hopper.score(*steps)
            assert found[1] == CAP
            assert (found[[0, 2, 3]] < 1).all()
    rng = np.random.default_rng(0)
    for size in (1.0, 1e2, 1e5):
        found = hopper.score(*(size * rng.normal(size=(50, width)) for width in (11, 3, 11)))
        assert np.isfinite(found).all() and (found <= CAP).all()


@pytest.mark.parametrize(
    "shapes", [((2, 4), (2, 3), (2, 4)), ((2, 11), (2, 2), (2, 11)), ((2, 11), (2, 3), (1, 11)), ((11,), (3,), (11,))]
)
def test_arrays_of_other_sizes_are_errors(hopper: DreamVerifier, shapes: tuple):
    with pytest.raises(ClipError, match="expected .*11"):
        hopper.score(*map(np.zeros, shapes))


def test_bad_arguments():
    with pytest.raises(TaskError, match="task: expected a registered task id"):
        DreamVerifier("wmenv/Hoper-v0")
    with pytest.raises(ClipError, match="noise: expected a number from 0 to 1"):
        DreamVerifier("wmenv/Hopper-v0", noise=2)
