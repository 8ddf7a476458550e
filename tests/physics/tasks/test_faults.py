"""Shows that every misuse is an error that names the field, and that a diverged simulation is data."""

from __future__ import annotations

import os
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

import physics
from physics import Camera, TaskError

TASK = "wmenv/Reacher-v0"


def test_unknown_task_suggests_near_names() -> None:
    with pytest.raises(TaskError, match=r"task: expected .* got 'wmenv/Reecher-v0'; did you mean wmenv/Reacher-v0"):
        physics.make_task("wmenv/Reecher-v0")
    with pytest.raises(TaskError, match="known: wmenv/InvertedPendulum-v0"):
        physics.TaskEnv("chess")
    with pytest.raises(TaskError, match="task: expected"):
        physics.TaskEnv(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"obs": "pixels"}, "obs"),
        ({"obs": None}, "obs"),
        ({"size": 0}, "size"),
        ({"size": -64}, "size"),
        ({"size": 64.0}, "size"),
        ({"size": True}, "size"),
        ({"size": 10**6}, "size"),
        ({"size": "64"}, "size"),
        ({"render_mode": "human"}, "render_mode"),
        ({"render_size": 1}, "render_size"),
        ({"camera": "side"}, "camera"),
        ({"world": {"mass": -1}}, r"world\.mass"),
    ],
)
def test_bad_options_name_their_field(options: dict, field: str) -> None:
    with pytest.raises(TaskError, match=rf"^{field}: expected"):
        physics.TaskEnv(TASK, **options)
    if "render_mode" not in options:
        with pytest.raises(TaskError, match=rf"^{field}: expected"):
            physics.make_task(TASK, **options)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"width": 0.0}, "width"),
        ({"width": 1.0, "height": float("nan")}, "height"),
        ({"width": 1.0, "lookat": (0.0, float("inf"), 0.0)}, "lookat"),
        ({"width": 1.0, "track": "x"}, "track_body"),
        ({"width": 1.0, "track": "q", "track_body": "torso"}, "track"),
        ({"width": 1.0, "supersample": 3}, "supersample"),
    ],
)
def test_bad_cameras_name_their_field(options: dict, field: str) -> None:
    with pytest.raises(TaskError, match=rf"^camera\.{field}: expected"):
        Camera(**{"lookat": (0.0, 0.0, 0.0), **options})


@pytest.mark.parametrize("name", ["colours", "sizes", "discs"])
def test_cameras_name_what_the_model_lacks(name: str) -> None:
    camera = Camera(lookat=(0.0, 0.0, 0.0), width=1.0, **{name: {"wing": (1.0, 1.0, 1.0)}})
    with pytest.raises(TaskError, match="camera: expected the name of a .*'wing'"):
        physics.TaskEnv(TASK, camera=camera)
    with pytest.raises(TaskError, match="body of the model, got 'wing'"):
        physics.TaskEnv(TASK, camera=Camera(lookat=(0.0, 0.0, 0.0), width=1.0, track="x", track_body="wing"))


@pytest.mark.parametrize(
    "action",
    [
        [0.0],
        np.zeros(3, np.float32),
        np.zeros((1, 2), np.float32),
        0.0,
        np.array([np.nan, 0.0]),
        np.array([np.inf, 0.0]),
        np.array(["a", "b"]),
        np.array([None, 0.0]),
        np.array([1j, 0.0]),
        np.array([True, False]),
        [[0.0], [0.0, 1.0]],
        np.array([1e30, 0.0]),
        None,
    ],
    ids=str,
)
def test_bad_actions_change_nothing(action: object) -> None:
    env = physics.TaskEnv(TASK)
    env.reset(seed=0)
    before = env.data.qpos.copy(), float(env.data.time)
    with pytest.raises(TaskError, match="^action: expected"):
        env.step(action)  # type: ignore[arg-type]
    assert np.array_equal(env.data.qpos, before[0]) and env.data.time == before[1]
    env.step(np.zeros(2, np.float32))
    env.close()


def test_order_of_calls() -> None:
    env = physics.TaskEnv(TASK)
    with pytest.raises(TaskError, match=r"call reset\(\) first"):
        env.step(np.zeros(2, np.float32))
    env.reset()
    env.close()
    env.close()
    for call in (env.reset, env.camera_frame, lambda: env.step(np.zeros(2, np.float32))):
        with pytest.raises(TaskError, match="closed"):
            call()
    wrapped = gymnasium.make("Reacher-v5") if TASK not in gymnasium.registry else gymnasium.make(TASK)
    with pytest.raises(gymnasium.error.ResetNeeded):
        wrapped.step(np.zeros(2, np.float32))
    wrapped.close()


@pytest.mark.parametrize("task", ["wmenv/Hopper-v0", "wmenv/Humanoid-v0", "wmenv/dmc-walker-walk-v0"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e12])
def test_divergence_is_flagged_and_never_a_silent_reset(task: str, value: float) -> None:
    env = physics.TaskEnv(task, obs="frames", size=16)
    env.reset(seed=0)
    observation, _, _, _, info = env.step(np.zeros(env.action_space.shape, np.float32))
    assert info["diverged"] is False
    env.data.qvel[1] = value
    after, reward, terminated, truncated, last = env.step(np.zeros(env.action_space.shape, np.float32))
    assert (reward, terminated, truncated, last["diverged"]) == (0.0, True, False, True)
    assert np.array_equal(after, observation) and np.array_equal(last["qpos"], info["qpos"])
    with pytest.raises(TaskError, match="reset"):
        env.step(np.zeros(env.action_space.shape, np.float32))
    env.reset()
    assert env.step(np.zeros(env.action_space.shape, np.float32))[4]["diverged"] is False
    env.close()


def test_wild_but_legal_actions_never_give_a_number_that_is_not_finite() -> None:
    random = np.random.default_rng(0)
    for task in ("wmenv/Walker2d-v0", "wmenv/InvertedPendulum-v0"):
        env = physics.TaskEnv(task)
        env.reset(seed=0)
        for _ in range(300):
            action = random.normal(size=env.action_space.shape) * 10.0 ** random.uniform(-3, 2)
            state, reward, ended, _, info = env.step(action)
            assert np.isfinite(state).all() and np.isfinite(reward) and env.observation_space.contains(state)
            assert np.isfinite(info["qpos"]).all() and np.isfinite(info["qvel"]).all()
            if ended:
                env.reset()
        env.close()


NO_LIBRARY = """
import ctypes, ctypes.util
class Refusing(ctypes.CDLL):
    def __init__(self, name, *args, **kwargs):
        if name and "EGL" in str(name): raise OSError(f"{name}: cannot open shared object file")
        super().__init__(name, *args, **kwargs)
ctypes.CDLL = ctypes.cdll._dlltype = Refusing
find = ctypes.util.find_library
ctypes.util.find_library = lambda name: None if "EGL" in name else find(name)
"""
DRAW = """
import physics
env = physics.TaskEnv("wmenv/Reacher-v0", obs="state"); env.reset(seed=0); env.close()
try:
    physics.TaskEnv("wmenv/Reacher-v0", obs="frames").reset(seed=0)
except physics.TaskError as error:
    print(error)
"""


@pytest.mark.parametrize("missing", ["library", "driver"])
@pytest.mark.parametrize("preset", ["", "egl"])
def test_without_egl_states_work_and_frames_say_what_to_install(preset: str, missing: str) -> None:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL", "PYOPENGL_PLATFORM")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    env |= {"MUJOCO_GL": preset} if preset else {}
    env |= {"__EGL_VENDOR_LIBRARY_FILENAMES": "/nowhere.json"} if missing == "driver" else {}
    code = DRAW if missing == "driver" else NO_LIBRARY + DRAW
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    assert "camera: expected a working OpenGL context" in done.stdout
    assert "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri" in done.stdout
    assert "Traceback" not in done.stderr
