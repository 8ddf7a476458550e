"""Shows that a user's own Gymnasium id or MJCF becomes a task in one call, and that a bad one is refused at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import physics
from physics import Camera, TaskError, register_task
from physics.tasks import mjcf_check, registry

BALL = """
<mujoco>
  <worldbody>
    <geom type="plane" size="5 5 .1"/>
    <body name="ball" pos="0 0 1">
      <freejoint name="root"/>
      <geom name="ball" size=".1"/>
      <body name="arm" pos="0 0 .1">
        <joint name="swing" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 .3" size=".03"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="swing" ctrlrange="-2 2" ctrllimited="true"/></actuator>
  <keyframe><key qpos="0 0 2 1 0 0 0 0"/></keyframe>
</mujoco>
"""


@pytest.fixture(autouse=True)
def _forget_what_a_test_registered() -> Iterator[None]:
    before = set(physics.task_ids())  # other tests of this process may have tasks of their own
    yield
    for task in set(physics.task_ids()) - before:
        registry._specs.pop(task)
        gymnasium.registry.pop(task, None)


@pytest.fixture
def ball(tmp_path: Path) -> Path:
    path = tmp_path / "ball.xml"
    path.write_text(BALL)
    return path


def test_a_gymnasium_id() -> None:
    spec = register_task("me/Swimmer-v0", source="Swimmer-v5", options={"reset_noise_scale": 0.0})
    assert spec.max_episode_steps == 1000 and "me/Swimmer-v0" in physics.task_ids()
    env = physics.make_task("me/Swimmer-v0", obs="frames", size=32)
    theirs = gymnasium.make("Swimmer-v5", reset_noise_scale=0.0)
    frame, info = env.reset(seed=0)
    theirs.reset(seed=0)
    assert frame.any()
    action = np.array([0.5, -0.5], np.float32)
    for _ in range(5):
        assert env.step(action)[1] == theirs.step(action)[1]
    names = env.unwrapped.state_names  # type: ignore[attr-defined]
    assert len(info["state"]) == len(names) and "cos:free_body_rot [1]" in names
    env.close()
    theirs.close()


def test_an_mjcf_with_a_reward_of_ones_own(ball: Path) -> None:
    register_task(
        "me/Ball-v0",
        source=ball,
        max_episode_steps=100,
        omit_position={"root": "the ground is the same everywhere"},
        options={
            "frame_skip": 5,
            "reset_noise": 0.0,
            "reward": lambda model, data, action: float(data.qpos[2]),
            "terminated": lambda model, data: bool(data.qpos[2] < 0.5),
        },
    )
    env = physics.make_task("me/Ball-v0", world=physics.World(mass=2.0))
    state, info = env.reset(seed=0)
    assert info["qpos"][2] == 2.0 and env.action_space.high == 2.0
    assert "qpos:root.z [m]" in env.unwrapped.state_names and "qpos:root.x [m]" not in env.unwrapped.state_names
    steps, ended = 0, False
    while not ended:
        state, reward, ended, truncated, info = env.step(np.zeros(1, np.float32))
        steps += 1
        assert reward == info["qpos"][2] and not truncated
    fallen = 0.5 * 9.81 * (0.01 * steps) ** 2  # free fall, five steps of 2 ms each
    assert info["qpos"][2] == pytest.approx(2.0 - fallen, abs=0.02)
    env.close()


def test_the_fitted_camera_sees_the_robot_and_follows_it(ball: Path) -> None:
    register_task("me/Far-v0", source=ball)
    env = physics.TaskEnv("me/Far-v0")
    env.reset(seed=0)
    env.data.qpos[:3] = 0.0, 0.0, 1.0
    here = env.camera_frame()
    env.data.qpos[:2] = 50.0, -30.0
    there = env.camera_frame()
    for frame in (here, there):
        assert ((frame.max(-1).astype(int) - frame.min(-1)) > 60).mean() > 0.01
    env.close()


def test_seeds_decide_the_noise(ball: Path) -> None:
    register_task("me/Noise-v0", source=str(ball), options={"reset_noise": 0.1})
    env = physics.TaskEnv("me/Noise-v0")
    first = env.reset(seed=1)[0]
    second = env.reset()[0]
    assert not np.array_equal(first, second)
    assert np.array_equal(env.reset(seed=1)[0], first) and np.array_equal(env.reset()[0], second)
    env.close()


def test_a_spawned_process_knows_the_task() -> None:
    register_task(
        "me/Ant-v0", source="Ant-v5", camera=Camera(lookat=(0, 0, 0), width=2, track="xy", track_body="torso")
    )
    vector = gymnasium.make_vec(
        "me/Ant-v0", num_envs=1, vectorization_mode="async", vector_kwargs={"context": "spawn"}, obs="frames", size=24
    )
    assert vector.reset(seed=0)[0].shape == (1, 24, 24, 3)
    vector.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "Nothing-v0"}, "source: expected a Gymnasium MuJoCo id"),
        ({"source": "CartPole-v1"}, "source: expected a Gymnasium MuJoCo environment"),
        ({"source": "Ant-v5", "options": {"wings": 2}}, "source: expected"),
        ({"source": "nowhere.xml"}, "no file"),
        ({"task_id": "me Ant"}, "task_id: expected a Gymnasium id"),
        ({"task_id": "wmenv/Hopper-v0"}, "one of the project's own"),
        ({"colour": "red"}, r"details: expected fields out of .* got \['colour'\]"),
        ({"max_episode_steps": 0}, "max_episode_steps: expected"),
        ({"omit_position": {"wheel": "none"}}, r"expected joints out of .* got \['wheel'\]"),
        ({"goals": {"wheel": (0.0, 1.0)}}, "expected the name of a geom, got 'wheel'"),
        ({"camera": Camera(lookat=(0, 0, 0), width=1, hidden=("wheel",))}, "camera: expected the name of a geom"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_no_trace(changes: dict, message: str) -> None:
    arguments = {"task_id": "me/Bad-v0", "source": "Ant-v5", **changes}
    with pytest.raises(TaskError, match=message):
        register_task(arguments.pop("task_id"), **arguments)
    assert "me/Bad-v0" not in physics.task_ids() and "me/Bad-v0" not in gymnasium.registry


BAD_FILES = {
    "empty": ("", "well-formed XML"),
    "cut off": (BALL[:300], "well-formed XML"),
    "not XML": ("\x00\x01\x02", "well-formed XML"),
    "another root": ("<svg/>", "compiles"),
    "unknown element": (BALL.replace("<actuator>", "<wings/><actuator>"), "wings"),
    "unknown joint": (BALL.replace('joint="swing" ctrl', 'joint="sway" ctrl'), "sway"),
    "number": (BALL.replace('size=".1"', 'size="big"'), "compiles"),
    "no actuators": (BALL[: BALL.index("<actuator>")] + "</mujoco>", "joints and actuators"),
    "outside": (BALL.replace("<worldbody>", '<include file="/etc/passwd"/><worldbody>', 1), "paths inside"),
    "climbing": (BALL.replace("<mujoco>", '<mujoco><compiler meshdir="../.."/>', 1), "paths inside"),
    "missing mesh": (
        BALL.replace("<worldbody>", '<asset><mesh file="none.stl"/></asset><worldbody>', 1),
        "none.stl",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_malformed_mjcf_is_refused(tmp_path: Path, kind: str) -> None:
    text, message = BAD_FILES[kind]
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(TaskError, match=message):
        register_task("me/Bad-v0", source=path)
    assert "me/Bad-v0" not in physics.task_ids()


def test_mjcf_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mjcf_check, "TIME_LIMIT", 1.0)
    monkeypatch.setattr(mjcf_check, "_COMPILE", "import time; time.sleep(60)")
    path = tmp_path / "slow.xml"
    path.write_text(BALL)
    with pytest.raises(TaskError, match="to compile in 1 s"):
        register_task("me/Bad-v0", source=path)


def test_mjcf_that_wants_too_much_memory_does_not_take_this_process_along(tmp_path: Path) -> None:
    path = tmp_path / "large.xml"
    path.write_text(BALL.replace("<worldbody>", '<size memory="100G"/><worldbody>', 1))
    with pytest.raises(TaskError, match="compiles"):
        register_task("me/Bad-v0", source=path)


def test_odd_options_of_an_mjcf(ball: Path) -> None:
    for options, message in (
        ({"frame_skip": 0}, r"options\.frame_skip"),
        ({"reset_noise": -1.0}, r"options\.reset_noise"),
        ({"speed": 2}, r"options: expected names"),
    ):
        with pytest.raises(TaskError, match=message):
            register_task("me/Bad-v0", source=ball, options=options)
