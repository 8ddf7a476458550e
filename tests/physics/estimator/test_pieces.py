"""Shows what the estimator is made of to be exact: moments of colours, codes of poses, and the filter in time."""

from __future__ import annotations

import json

import mujoco
import numpy as np
import pytest

from physics.clips.real import record_clips
from physics.estimator.codes import Part, PoseCode, parts_of
from physics.estimator.colours import ColourMoments, ground_of
from physics.estimator.motion import MOST_SIGMAS, WINDOW, fit_filter
from physics.estimator.readers import read_all
from physics.estimator.scenes import Scene, spread_poses
from physics.estimator.training import Fit, disturbed, fit_reader
from physics.mechanics.control_model import control_model
from physics.mechanics.tangent import Tangent

PENDULUM = "wmenv/InvertedPendulum-v0"
RED = (1.0, 0.15, 0.1)


def dots(places: np.ndarray, radius: float = 3.0) -> np.ndarray:
    """Red dots (N, 64, 64, 3) at `places` (N, 2), pixels, on black; edges cover their pixels in part."""
    rows, columns = np.mgrid[:64, :64] + 0.5
    away = np.hypot(columns - places[:, 0, None, None], rows - places[:, 1, None, None])
    cover = np.clip(radius - away + 0.5, 0, 1)
    return np.rint(255 * cover[..., None] * np.array(RED)).astype(np.uint8)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    clip = record_clips(PENDULUM, 1, 12, seed=5)[0]
    with Scene(PENDULUM) as scene:
        return scene.draw(clip.qpos, np.random.default_rng(0))


def test_the_place_of_a_dot_is_read_to_a_fifth_of_a_pixel():
    rng = np.random.default_rng(0)
    colours = ColourMoments([RED], np.zeros((64, 64), bool))
    places = rng.uniform(5, 59, (600, 2))
    target = ((places - 32) / 16).astype(np.float32)
    readers = tuple(
        fit_reader(colours.read(dots(places)), target, Fit(steps=500, batch=64, hidden=32, learning_rate=1e-2), seed=k)
        for k in range(2)
    )
    held = rng.uniform(6, 58, (100, 2))
    code, _ = read_all(readers, colours.read(dots(held)))
    error = np.hypot(*(16 * code + 32 - held).T)
    assert np.sqrt(np.mean(error**2)) < 0.2
    noisy, _ = read_all(readers, colours.read(disturbed(dots(held), rng)))
    assert np.median(np.hypot(*(16 * noisy + 32 - held).T)) < 0.5


def test_moments_are_those_of_the_dot():
    colours = ColourMoments([RED], np.zeros((64, 64), bool))
    amount, x, y, xx, xy, yy, *third = colours.read(dots(np.array([[20.0, 44.0]])))[0].astype(float)
    assert 50 * amount == pytest.approx(np.pi * 9, rel=0.06)
    assert (8 * x + 32, 8 * y + 32) == pytest.approx((20, 44), abs=0.02)
    assert (xx / 30 * 32**2, yy / 30 * 32**2) == pytest.approx((9 / 4, 9 / 4), rel=0.1)  # a disc's: radius^2 / 4
    assert xy == pytest.approx(0, abs=0.01) and np.abs(third).max() < 0.3


def test_colours_are_told_apart_and_the_grey_ground_is_not_white():
    frames = np.zeros((1, 64, 64, 3), np.uint8)
    frames[0, 10:20, 10:20] = np.rint(255 * np.array((1.0, 0.5, 0.05)))  # orange
    frames[0, 50:] = 140  # a light block of ground
    colours = ColourMoments([RED, (1.0, 0.5, 0.05), (1.0, 1.0, 1.0)], ground_of(frames))
    amounts = 50 * colours.read(frames)[0].astype(float)[:30:10]
    assert amounts[0] == pytest.approx(0, abs=5) and amounts[1] == pytest.approx(100, rel=0.02)
    assert amounts[2] == pytest.approx(0, abs=0.1)


def test_features_do_not_depend_on_the_other_frames(frames: np.ndarray):
    colours = ColourMoments([(1.0, 0.85, 0.1), (1.0, 1.0, 1.0)], ground_of(frames))
    together = colours.read(frames)
    assert all((colours.read(frame[None])[0] == together[k]).all() for k, frame in enumerate(frames))
    assert colours.read(np.zeros_like(frames[:1])).any() == np.False_


@pytest.mark.parametrize("task", ["InvertedPendulum", "Reacher", "Hopper", "HalfCheetah", "Pusher", "Humanoid"])
def test_codes_keep_poses(task: str):
    """Decoded codes are the poses, but for whole periods of what turns or of what the camera follows."""
    clip = record_clips(f"wmenv/{task}-v0", 1, 40, seed=1)[0]
    with Scene(f"wmenv/{task}-v0") as scene:
        code = PoseCode(scene.model, parts_of(scene.model, scene.camera, clip.qpos))
        again = PoseCode.from_list(scene.model, json.loads(json.dumps(code.to_list())))
    error = Tangent(scene.model).difference(clip.qpos, again.decode(code.encode(clip.qpos).astype(float)))
    period = code.periods(scene.model.nv)
    if task == "Humanoid":  # squares on two lattices: both places shift by half a period together, or one by a whole
        period[:2] /= 2
    offset = np.where(period > 0, np.round(error[0] / np.where(period > 0, period, 1)) * period, 0.0)
    assert np.abs(error - offset).max() < 1e-4


def test_a_ramp_of_colours_tells_which_block_the_robot_is_over():
    model = control_model(PENDULUM).model
    with Scene(PENDULUM) as scene:
        code = PoseCode(model, parts_of(model, scene.camera, np.array([[-1.0, 0], [1.0, 0]])))
    qpos = np.stack((np.linspace(-0.95, 0.95, 30), np.zeros(30)), -1)
    blurred = code.encode(qpos).astype(float)
    blurred[:, 0] += 0.2  # the colours tell the place to 20 cm only, the blocks to the bit
    assert [part.kind for part in code.parts] == ["line", "line", "phase"]
    assert np.abs(code.decode(blurred)[:, 0] - qpos[:, 0]).max() < 1e-5


def test_drawn_poses_cover_the_joints_ranges_and_a_little_more():
    model = control_model("wmenv/Reacher-v0").model
    poses = spread_poses(model, np.zeros((10, 4)), 3000, np.random.default_rng(0))
    assert poses[:, 1].min() < -3 and poses[:, 1].max() > 3 and np.abs(poses[:, 0]).max() < 1.2 * np.pi
    assert np.isfinite(poses).all() and np.ptp(poses[:, 0]) > 6


def swinging(num: int, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Pendulum states (num, frames, 2) that swing with periods of 40 frames or so, and their velocities."""
    dt = control_model(PENDULUM).dt
    omega, phase = rng.uniform(3, 5, (num, 1, 2)), rng.uniform(0, 6.3, (num, 1, 2))
    angle = omega * dt * np.arange(frames)[:, None] + phase
    return np.sin(angle), omega * np.cos(angle), dt


def test_the_filter_reads_velocities_better_than_differences_and_ends_too():
    rng = np.random.default_rng(0)
    model = control_model(PENDULUM).model
    qpos, qvel, dt = swinging(80, 32, rng)
    read = qpos + 0.01 * rng.standard_normal(qpos.shape)
    motion = fit_filter(model, list(read[:60]), list(qpos[:60]), list(qvel[:60]), np.zeros(2))
    better, speed = zip(*(motion.read(r) for r in read[60:]), strict=True)
    plain = np.gradient(read[60:], dt, axis=1)
    assert np.std(np.stack(speed) - qvel[60:]) < 0.5 * np.std(plain - qvel[60:])
    assert np.std(np.stack(better) - qpos[60:]) < 0.8 * 0.01
    assert motion.sigma == pytest.approx(0.01, rel=0.1)
    for frames in (2, 3, WINDOW - 1):  # short clips have filters of their own
        assert np.abs(motion.read(qpos[70, :frames])[1] - qvel[70, :frames]).max() < 1.0


def test_a_jump_stays_a_jump():
    """A teleport moves what is read of it by the noise's size at most, and only its own joint's velocity."""
    rng = np.random.default_rng(1)
    model = control_model(PENDULUM).model
    qpos, qvel, _ = swinging(60, 32, rng)
    read = qpos + 0.01 * rng.standard_normal(qpos.shape)
    motion = fit_filter(model, list(read), list(qpos), list(qvel), np.zeros(2))
    jumped = read[0].copy()
    jumped[16:, 0] += 1.0
    smooth, speed = motion.read(jumped)
    assert np.abs(smooth - jumped).max() <= MOST_SIGMAS * motion.sigma.max() + 1e-12
    assert smooth[16, 0] - smooth[15, 0] == pytest.approx(jumped[16, 0] - jumped[15, 0], abs=0.07)
    untouched = motion.read(read[0])[1]
    assert (speed[:, 1] == untouched[:, 1]).all() and np.abs(speed[:, 0] - untouched[:, 0]).max() > 2


def test_a_hinge_is_unwrapped_into_its_range():
    model = control_model("wmenv/Reacher-v0").model
    parts = (Part(kind="turn", index=(1,), weights=(1.0,), scale=2 * np.pi),)
    angle = np.linspace(2.5, 3.3, 9)  # through pi: the joint ends at 3, softly
    qpos = PoseCode(model, parts).decode(np.stack((np.cos(angle), np.sin(angle)), -1))
    assert qpos[:, 1] == pytest.approx(angle)


def test_attitudes_survive_noise_and_go_on_without_a_change_of_sign():
    clip = record_clips("wmenv/Humanoid-v0", 1, 40, seed=2)[0]
    model = control_model("wmenv/Humanoid-v0").model
    parts = (Part(kind="attitude", index=(3, 4, 5, 6), weights=(1.0,) * 4),)
    code = PoseCode(model, parts)
    noisy = code.encode(clip.qpos) + 0.01 * np.random.default_rng(0).standard_normal((40, 6))
    qpos = code.decode(noisy)
    turned = np.zeros(3)
    for read, true in zip(qpos, clip.qpos, strict=True):
        mujoco.mju_subQuat(turned, read[3:7], true[3:7])
        assert np.linalg.norm(turned) < 0.06
    assert ((qpos[1:, 3:7] * qpos[:-1, 3:7]).sum(-1) > 0).all()
