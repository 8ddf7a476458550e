"""Shows that a user's own Gymnasium id or MJCF becomes a task in one call, and that a bad one is refused at once."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import physics
from physics import Camera, TaskError, register_task
from physics.tasks import mjcf_check, registry
from physics.tasks.document import HEADER

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


def test_an_action_beyond_the_action_space_does_what_a_replay_does(ball: Path) -> None:
    """This motor has no ctrlrange, so MuJoCo itself would take whatever it is given."""
    ball.write_text(BALL.replace(' ctrlrange="-2 2" ctrllimited="true"', ""))
    seen = []
    options = {"reset_noise": 0.0, "reward": lambda model, data, action: seen.append(action.copy()) or 0.0}
    register_task("me/Strong-v0", source=ball, options=options)
    after = []
    for push in (1.0, 50.0):
        env = physics.TaskEnv("me/Strong-v0")
        env.reset(seed=0)
        after.append(env.step(np.full(1, push, np.float32))[-1]["qvel"])
        env.close()
    assert np.array_equal(*after) and np.array_equal(seen, [[1.0], [1.0]])


def test_the_documents_example_can_be_sent_into_other_processes(ball: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, script = re.findall(r"```python\n(.*?)```", HEADER, re.DOTALL)
    (ball.parent / "arm.py").write_text(module)
    (ball.parent / "arm.xml").write_text(BALL)
    monkeypatch.chdir(ball.parent)
    monkeypatch.syspath_prepend(ball.parent)
    try:
        exec(script, names := {})
        options = registry.find_spec("me/Arm-v0").options
        assert pickle.loads(pickle.dumps(options)) == options
        names["env"].close()
    finally:
        sys.modules.pop("arm", None)


def test_the_limit_is_the_ids_own_however_it_is_spelt() -> None:
    assert register_task("me/Z-v0", source="gymnasium.envs.mujoco:Hopper-v5").max_episode_steps == 1000
    assert register_task("me/Y-v0", source="Reacher-v5").max_episode_steps == 50
    assert register_task("me/X-v0", source="Reacher-v5", max_episode_steps=7).max_episode_steps == 7


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
        ({"source": "nomodule:Foo-v0"}, "source: expected a Gymnasium MuJoCo id"),
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


SECRET = '<mujoco><worldbody><body name="{}"><geom size=".1"/></body></worldbody></mujoco>'
ATTACHED = BALL.replace("<mujoco>", '<mujoco><asset><model name="m" file="sub/child.xml"/></asset>', 1).replace(
    "<worldbody>", '<worldbody><frame><attach model="m" body="near" prefix="m"/></frame>', 1
)
INCLUDED = BALL.replace("<mujoco>", '<mujoco><include file="sub/child.xml"/>', 1)


@pytest.mark.parametrize("main", [ATTACHED, INCLUDED], ids=["attached", "included"])
@pytest.mark.parametrize(
    "child",
    [
        '<mujoco><include file="{}/outside.xml"/></mujoco>',
        '<mujoco><include file="near.xml"/><compiler meshdir="../.."/></mujoco>',
        '<mujoco><asset><model name="n" file="../../outside.xml"/></asset></mujoco>',
        '<mujoco><asset><texture type="cube" filefront="../../outside.png"/></asset></mujoco>',
        '<!DOCTYPE m [<!ENTITY a "x/y/z">]><mujoco><include file="&a;/../../../outside.xml"/></mujoco>',
    ],
)
def test_what_a_model_names_stays_in_its_folder_too(tmp_path: Path, main: str, child: str) -> None:
    path = tmp_path / "robot" / "robot.xml"
    (path.parent / "sub").mkdir(parents=True)
    path.write_text(main)
    (tmp_path / "outside.xml").write_text(SECRET.format("near"))
    (path.parent / "sub" / "near.xml").write_text(SECRET.format("near"))
    (path.parent / "sub" / "child.xml").write_text(child.replace("{}", str(tmp_path)))
    with pytest.raises(TaskError, match="paths inside|entities"):
        mjcf_check.check_mjcf(path)


def test_a_model_beside_the_model_can_be_attached(tmp_path: Path) -> None:
    path = tmp_path / "robot.xml"
    (tmp_path / "sub").mkdir()
    path.write_text(ATTACHED)
    (tmp_path / "near.xml").write_text(SECRET.format("near"))
    (tmp_path / "sub" / "child.xml").write_text('<mujoco><include file="../near.xml"/></mujoco>')
    assert mjcf_check.check_mjcf(path) == path


def test_a_busy_machine_is_no_fault_of_the_file(ball: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mjcf_check, "TIME_LIMIT", 1.0)
    monkeypatch.setattr(mjcf_check, "PATIENCE", 60.0, raising=False)
    compile_it = mjcf_check._COMPILE
    monkeypatch.setattr(mjcf_check, "_COMPILE", "import time; time.sleep(2)\n" + compile_it)
    assert mjcf_check.check_mjcf(ball) == ball, "time that passes is not time that it takes"
    monkeypatch.setattr(
        mjcf_check, "_COMPILE", compile_it.replace("try:\n    model", "while True: pass\ntry:\n    model")
    )
    with pytest.raises(TaskError, match="to compile in 1 s"):
        mjcf_check.check_mjcf(ball)


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
