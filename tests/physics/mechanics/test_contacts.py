"""Contacts against geometry: heights, depths and sliding speeds that are known in closed form, and MuJoCo's own."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from physics.clips.real import record_clips
from physics.mechanics.contact_model import contact_model
from physics.mechanics.contacts import Contacts, contact_state
from physics.mechanics.control_model import ControlModel, control_model
from physics.mechanics.floor import lowest_points

UPRIGHT = (1.0, 0, 0, 0)
SHAPES = {
    "sphere": 'type="sphere" size=".1"',
    "capsule": 'type="capsule" size=".05 .2"',
    "cylinder": 'type="cylinder" size=".1 .2"',
    "box": 'type="box" size=".1 .2 .3"',
    "ellipsoid": 'type="ellipsoid" size=".1 .2 .3"',
    "mesh": 'type="mesh" mesh="wedge"',
}
WEDGE = '<asset><mesh name="wedge" vertex="0 0 0  .3 0 0  0 .2 0  0 0 .4"/></asset>'


def robot(
    body: str, world: str = '<geom type="plane" size="5 5 .1"/>', actuator: str = "", asset: str = ""
) -> ControlModel:
    """A control model of a scene."""
    text = f"<mujoco>{asset}<worldbody>{world}{body}</worldbody><actuator>{actuator}</actuator></mujoco>"
    model = mujoco.MjModel.from_xml_string(text)
    bound = np.ones(model.nu)
    return ControlModel(task="test/scene", model=model, frame_skip=1, low=-bound, high=bound)


def free(shape: str) -> ControlModel:
    return robot(f'<body><freejoint/><geom {SHAPES[shape]} mass="1"/></body>', asset=WEDGE if shape == "mesh" else "")


def at(m: ControlModel, position: tuple, quaternion: tuple = UPRIGHT, velocity: tuple = (0, 0, 0, 0, 0, 0)) -> Contacts:
    """Contacts of one state of a free body."""
    return contact_state(m, np.array([[[*position, *quaternion]]], float), np.array([[velocity]], float))


@pytest.mark.parametrize(("off", "deep"), [(0.01, 0.0), (-0.01, 0.01), (0.5, 0.0)])
def test_a_lying_capsule_above_and_below_a_plane(off: float, deep: float) -> None:
    lying = (np.sqrt(0.5), 0, np.sqrt(0.5), 0)
    found = at(free("capsule"), (0, 0, 0.05 + off), lying)
    assert found.lowest is not None and found.lowest.item() == pytest.approx(off, abs=1e-12)
    assert found.penetration.item() == pytest.approx(deep, abs=1e-12)
    assert found.world_penetration.item() == found.penetration.item()
    assert found.self_penetration.item() == found.object_penetration.item() == 0
    assert found.on_world[0, 0].tolist() == [False, deep > 0] == found.touching[0, 0].tolist()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_lowest_point_of_every_shape_is_mujocos_distance_to_the_plane(shape: str) -> None:
    m, rng = free(shape), np.random.default_rng(0)
    qpos = np.concatenate((rng.uniform(0.6, 1, (20, 3)), rng.normal(size=(20, 4))), axis=1)
    qpos[:, 3:] /= np.linalg.norm(qpos[:, 3:], axis=1, keepdims=True)
    found = contact_state(m, qpos[None], np.zeros((1, 20, 6))).lowest
    assert found is not None
    # mj_geomDistance knows no planes, so a box whose top lies at height 0 stands for one
    slab = robot(
        f'<body><freejoint/><geom {SHAPES[shape]} mass="1"/></body>',
        world='<geom type="box" size="5 5 1" pos="0 0 -1"/>',
        asset=WEDGE if shape == "mesh" else "",
    ).model
    data = mujoco.MjData(slab)
    for row, height in zip(qpos, found[0], strict=True):
        data.qpos[:] = row
        mujoco.mj_kinematics(slab, data)
        assert height == pytest.approx(mujoco.mj_geomDistance(slab, data, 0, 1, 10.0, None), abs=1e-5)


def test_a_raised_floor_is_measured_from_its_surface() -> None:
    m = robot(
        '<body><freejoint/><geom type="sphere" size=".1"/></body>', '<geom type="plane" size="5 5 .1" pos="0 0 .3"/>'
    )
    found = at(m, (1, 2, 0.5))
    assert found.lowest is not None and found.lowest.item() == pytest.approx(0.1)
    wall = robot(
        '<body><freejoint/><geom type="sphere" size=".1"/></body>', '<geom type="plane" size="5 5 .1" euler="0 90 0"/>'
    )
    assert at(wall, (1, 2, 0.5)).lowest is None, "nothing falls on a wall"


def test_a_box_slides_at_its_speed_and_a_falling_one_does_not_slide() -> None:
    m = free("box")
    sliding = at(m, (0, 0, 0.299), velocity=(0.3, -0.4, 0, 0, 0, 0))
    assert sliding.slide[0, 0].tolist() == [0, pytest.approx(0.5)]
    assert len(sliding.points.speed) == 4 and np.allclose(sliding.points.speed, 0.5)
    assert sliding.points.on_world.all() and np.allclose(sliding.points.depth, 0.001)
    falling = at(m, (0, 0, 0.299), velocity=(0, 0, -3, 0, 0, 0))
    assert falling.slide.max() == 0 and falling.on_world[0, 0, 1]
    above = at(m, (0, 0, 0.4), velocity=(0.3, 0, 0, 0, 0, 0))
    assert above.slide.max() == 0 and not len(above.points.speed)


def test_the_corners_of_a_spinning_box_go_round() -> None:
    found = at(free("box"), (0, 0, 0.299), velocity=(0, 0, 0, 0, 0, 2.0))
    assert found.slide.max() == pytest.approx(2.0 * np.hypot(0.1, 0.2))


PUSHING = robot(
    '<body pos="0 0 .5"><joint name="x" type="slide" axis="1 0 0"/><geom type="sphere" size=".1" mass="1"/></body>'
    '<body pos="0 0 .5"><joint type="slide" axis="1 0 0"/><geom type="sphere" size=".1" mass="1"/></body>',
    actuator='<motor joint="x"/>',
)


@pytest.mark.parametrize("gap", [0.05, -0.02, 3.0])
def test_an_object_is_what_no_actuator_moves(gap: float) -> None:
    cm = contact_model(PUSHING.model)
    assert cm.is_robot.tolist() == [False, True, False] and cm.is_object.tolist() == [False, False, True]
    qpos, qvel = np.array([[[0.0, 0.2 + gap]]]), np.array([[[0.0, 0.0]]])
    found = contact_state(PUSHING, qpos, qvel)
    assert found.object_gap is not None and found.lowest is not None
    assert found.object_gap.item() == pytest.approx(min(gap, 0.4, 1.0) if gap > 0 else gap)  # the floor is 0.4 below
    assert found.object_penetration.item() == found.penetration.item() == pytest.approx(max(-gap, 0))
    assert found.world_penetration.item() == found.self_penetration.item() == 0
    assert found.lowest.item() == pytest.approx(0.4)
    assert found.touching[0, 0].tolist() == [False, gap < 0, gap < 0] and not found.on_world.any()


@pytest.mark.parametrize("task", ["wmenv/Hopper-v0", "wmenv/Humanoid-v0", "wmenv/Pusher-v0"])
def test_real_states_have_the_contacts_of_mj_forward(task: str) -> None:
    m = control_model(task)
    clips = record_clips(task, 4, 12, seed=2)
    qpos, qvel = np.stack([c.qpos for c in clips]), np.stack([c.qvel for c in clips])
    found, data, num = contact_state(m, qpos, qvel), mujoco.MjData(m.model), 0
    for b, t in np.ndindex(4, 12):
        data.qpos[:], data.qvel[:] = qpos[b, t], qvel[b, t]
        mujoco.mj_forward(m.model, data)
        deepest, slide = {"world": 0.0, "self": 0.0}, np.zeros(m.model.nbody)
        for contact in data.contact:
            if contact.dist >= contact.includemargin:
                continue
            num += 1
            bodies = [int(m.model.geom_bodyid[g]) for g in contact.geom]
            still = [m.model.body_weldid[x] == 0 for x in bodies]
            if any(still):
                deepest["world"] = max(deepest["world"], -contact.dist)
                mover = bodies[still.index(False)]
                jacobian = np.zeros((3, m.model.nv))
                mujoco.mj_jac(m.model, data, jacobian, None, contact.pos, mover)
                slide[mover] = max(slide[mover], np.linalg.norm((jacobian @ qvel[b, t])[:2]))
            elif task != "wmenv/Pusher-v0":
                deepest["self"] = max(deepest["self"], -contact.dist)
        assert np.allclose(found.slide[b, t], slide, atol=1e-9)
        assert found.self_penetration[b, t] == deepest["self"]
        if task != "wmenv/Pusher-v0":  # whose object touches the table too
            assert found.world_penetration[b, t] == deepest["world"]
    assert num == len(found.points.depth) > 20


def test_wild_frames_are_flagged_and_leave_their_neighbours_alone() -> None:
    m = control_model("wmenv/Humanoid-v0")
    clips = record_clips("wmenv/Humanoid-v0", 2, 6)
    qpos, qvel = np.stack([c.qpos for c in clips]), np.stack([c.qvel for c in clips])
    clean = contact_state(m, qpos, qvel)
    q, v = qpos.copy(), qvel.copy()
    q[0, 1, 3], v[0, 2, 0], q[1, 0, 0], v[1, 3, 5] = np.nan, np.inf, 1e12, -1e300
    q[1, 4], v[1, 5] = 9e9, 9e9  # absurd, but numbers
    q[1, 5, 3:7] = 0
    found = contact_state(m, q, v)
    assert np.argwhere(~found.sound).tolist() == [[0, 1], [0, 2], [1, 0], [1, 3]]
    for name, value in zip(found._fields[:-1], found[:-1], strict=True):
        if value is None:
            continue
        assert np.isfinite(value).all(), name
        if name != "sound":
            assert not value[~found.sound].any(), name
        assert np.array_equal(value[0, 3:], getattr(clean, name)[0, 3:]), name
    assert all(np.isfinite(column).all() for column in found.points)


def test_one_clip_at_a_time_gives_the_same_bits() -> None:
    m = control_model("wmenv/Hopper-v0")
    clips = record_clips("wmenv/Hopper-v0", 3, 16)
    qpos, qvel = np.stack([c.qpos for c in clips]), np.stack([c.qvel for c in clips])
    together = contact_state(m, qpos, qvel)
    for b in reversed(range(3)):
        alone = contact_state(m, qpos[b : b + 1], qvel[b : b + 1])
        for name in Contacts._fields[:-1]:
            value = getattr(alone, name)
            assert value is None or np.array_equal(value[0], getattr(together, name)[b]), name


def test_tasks_without_a_floor_say_so() -> None:
    for task in ("wmenv/InvertedPendulum-v0", "wmenv/Reacher-v0"):
        m = control_model(task)
        found = contact_state(m, np.zeros((1, 2, m.model.nq)), np.zeros((1, 2, m.model.nv)))
        assert found.lowest is None and not found.penetration.any()


def test_lowest_points_are_of_each_geom() -> None:
    m = control_model("wmenv/Hopper-v0")
    cm = contact_model(m.model)
    data = mujoco.MjData(m.model)
    mujoco.mj_kinematics(m.model, data)
    height = lowest_points(cm, data.geom_xpos[None, cm.floor_geoms], data.geom_xmat[None, cm.floor_geoms])
    assert height.shape == (1, 4) and (np.diff(height[0]) < 0).all(), "torso, thigh, leg, foot"
