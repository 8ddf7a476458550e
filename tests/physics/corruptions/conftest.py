"""A scene whose motions are known in closed form, and real clips of the project's tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import gymnasium
import pytest

import physics
from physics.clips.clip import MotionClip
from physics.clips.real import record_clips
from physics.tasks import registry

SCENE = """
<mujoco>
  <option timestep="0.002" cone="elliptic" impratio="100"/>
  <worldbody>
    <geom name="floor" type="plane" size="9 9 .1" friction="0.5 0 0"/>
    <body name="cart" pos="0 3 3"><joint name="cart" type="slide" axis="1 0 0"/>
      <geom size=".1" mass="2" contype="0" conaffinity="0"/></body>
    <body name="slow" pos="0 4 3"><joint name="slow" type="slide" axis="1 0 0" damping="1"/>
      <geom size=".1" mass="2" contype="0" conaffinity="0"/></body>
    <body name="ball" pos="0 0 50"><freejoint name="ball"/><geom size=".1" mass="1" friction="0.5 0 0"/></body>
    <body name="block" pos="0 2 .1"><freejoint name="block"/>
      <geom type="box" size=".1 .1 .1" mass="1" friction="0.5 0 0"/></body>
  </worldbody>
  <actuator><motor joint="cart" gear="4" ctrlrange="-1 1"/><motor joint="slow" gear="4" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two carts, one of them damped, a ball in the air and a block on a floor of friction 0.5; 10 ms per step."""
    path = tmp_path_factory.mktemp("scene") / "scene.xml"
    path.write_text(SCENE)
    physics.register_task("me/Closed-v0", source=path, options={"frame_skip": 5})
    yield "me/Closed-v0"
    registry._specs.pop("me/Closed-v0")
    gymnasium.registry.pop("me/Closed-v0")


@pytest.fixture(scope="session")
def real() -> Callable[..., list[MotionClip]]:
    """Real clips of a task, recorded once."""

    @lru_cache
    def record(task: str, num: int = 6, frames: int = 24) -> list[MotionClip]:
        return record_clips(f"wmenv/{task}-v0", num, frames, seed=5)

    return record
