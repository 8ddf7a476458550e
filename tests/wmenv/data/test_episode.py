"""Episodes and descriptions refuse what could not be trained on."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from wmenv.data import DataInfo
from wmenv.errors import InputError


def test_an_episode_keeps_its_terminal_observation(episode):
    e = episode(1, steps=5)
    assert e.num_steps == 5 and len(e.state) == len(e.frames) == len(e.qpos) == 6
    assert e.total_reward == pytest.approx(e.reward.sum())


def test_floats_are_cast_and_frames_are_not(episode):
    e = episode(1, steps=3, state=np.zeros((4, 2)), reward=[1, 2, 3])
    assert e.state.dtype == np.float32 and e.reward.dtype == np.float64
    with pytest.raises(InputError, match="frames: expected uint8"):
        episode(1, steps=3, frames=np.zeros((4, 16, 16, 3)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", np.zeros((3, 2))),  # the terminal observation is missing
        ("state", np.full((4, 2), np.nan)),
        ("action", np.zeros((4, 1))),
        ("action", np.full((3, 1), np.inf)),
        ("action", np.zeros(3)),
        ("reward", np.zeros(0)),
        ("reward", np.zeros((3, 1))),
        ("reward", "abc"),
        ("qpos", np.zeros((4, 0))),
        ("qvel", np.full((4, 3), -np.inf)),
        ("frames", np.zeros((3, 16, 16, 3), np.uint8)),
        ("frames", np.zeros((4, 16, 16), np.uint8)),
        ("start_seed", -1),
        ("start_seed", 2**63),
    ],
)
def test_bad_fields_are_named(episode, field, value):
    with pytest.raises(InputError, match=f"^{field}|^state|^action: expected shape"):
        episode(1, steps=3, **{field: value})


def test_records_are_frozen(episode, info):
    with pytest.raises(dataclasses.FrozenInstanceError):
        episode(1).terminated = True
    with pytest.raises(dataclasses.FrozenInstanceError):
        info().task = "x"


def test_info_round_trips_through_json(info):
    one = info(state_names=["a", "b"], world={"mass": np.float64(1.2)})
    two = DataInfo.from_json(json.loads(json.dumps(one.to_json())))
    assert one == two and one.digest() == two.digest()
    assert one.state_dim == 2 and one.action_dim == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", ""),
        ("task", 3),
        ("fps", 0),
        ("fps", float("nan")),
        ("fps", "25"),
        ("size", 0),
        ("size", 10**9),
        ("size", 16.0),
        ("state_names", ()),
        ("state_names", (1, 2)),
        ("state_names", "ab"),
        ("state_groups", (0,)),
        ("action_low", (float("-inf"),)),
        ("action_high", (-4.0,)),
        ("action_high", (1.0, 2.0)),
        ("max_episode_steps", 0),
        ("seed", -1),
        ("policy", None),
        ("world", {"mass": float("nan")}),
        ("world", [1]),
    ],
)
def test_bad_descriptions_are_named(info, field, value):
    with pytest.raises(InputError, match=f"^{field}|^action_high"):
        info(**{field: value})


def test_differences_leave_out_policy_and_seed(info):
    assert info().differences(info(policy="zero", seed=3)) == ()
    assert info().differences(info(size=None, world={}, action_high=(2.0,))) == ("size", "action_high", "world")


@pytest.mark.parametrize("change", [{"extra": 1}, None, [], "text"])
def test_from_json_refuses_other_shapes(info, change):
    obj = info().to_json() | change if isinstance(change, dict) else change
    with pytest.raises(InputError, match="info: expected the fields"):
        DataInfo.from_json(obj)


def test_the_records_need_no_pyarrow():
    """The machine with the GPU has neither pyarrow nor PyAV."""
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['pyarrow'] = sys.modules['av'] = None\n"
        "from wmenv.data import DataInfo, Episode; print('fine')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "fine", out.stderr
