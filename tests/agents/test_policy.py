"""A stored policy acts as the one that was saved, runs no code when read, and is refused by name when damaged."""

import itertools
import json
import os
import pathlib
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from agents import policy_files
from agents.policy import Policy, PolicyConfig
from wmenv.atomic import digest
from wmenv.errors import CheckpointError, InputError

CONFIG = PolicyConfig(
    task="toy/Point-v0",
    observation_dim=2,
    observation_bound=10.0,
    action_low=(-2.0, 0.0),
    action_high=(2.0, 1.0),
    hidden=(8, 8),
    returns=(1.5, 2.0, 64.0),
)


@pytest.fixture
def saved(tmp_path, toy):
    policy = Policy(CONFIG, model=toy.Model(), seed=3)
    with torch.no_grad():
        policy.network.action_net.weight.mul_(50)
    policy.save(tmp_path / "policy", steps=7)
    return policy, tmp_path / "policy"


def test_a_loaded_policy_acts_as_the_saved_one(saved):
    policy, folder = saved
    obs = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    loaded = Policy.load(folder)
    np.testing.assert_array_equal(loaded.act(obs), policy.act(obs))
    assert loaded.config == policy.config and loaded.config.steps == 7
    assert loaded.config.returns == (1.5, 2.0, 64.0)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model", "policy.safetensors"]


def test_actions_are_in_task_units_and_bounds(saved):
    policy, _ = saved
    obs = np.random.default_rng(1).normal(size=(500, 2)).astype(np.float32) * 10
    for deterministic in (True, False):
        actions = policy.act(obs, deterministic)
        assert actions.shape == (500, 2) and actions.dtype == np.float32
        assert (actions >= [-2, 0]).all() and (actions <= [2, 1]).all()
        assert np.ptp(actions[:, 0]) > 2 and np.ptp(actions[:, 1]) > 0.3


def test_act_agrees_with_the_network_that_sb3_trains(saved):
    policy, _ = saved
    obs = np.random.default_rng(2).normal(size=(9, 2)).astype(np.float32)
    expected, _ = policy.network.predict(obs, deterministic=True)
    np.testing.assert_allclose(policy.act(obs), policy.to_task_units(expected), atol=1e-6)


def test_samples_come_from_the_policys_own_seed(saved):
    policy, folder = saved
    obs = np.zeros((4, 2), np.float32)
    policy.seed(5)
    first = policy.act(obs, deterministic=False)
    torch.manual_seed(0)
    policy.seed(5)
    np.testing.assert_array_equal(policy.act(obs, deterministic=False), first)
    assert not np.array_equal(policy.act(obs, deterministic=False), first)


@pytest.mark.parametrize("obs", [np.zeros((2, 3)), np.zeros(2), np.full((1, 2), np.nan)])
def test_a_wrong_observation_is_refused(saved, obs):
    with pytest.raises(InputError, match="obs: expected"):
        saved[0].act(obs)


@pytest.mark.parametrize(
    "change",
    [
        {"observation_dim": 0},
        {"observation_dim": True},
        {"observation_bound": float("inf")},
        {"action_high": (1.0,)},
        {"action_high": (-3.0, 1.0)},
        {"action_low": (float("nan"), 0.0)},
        {"hidden": (0,)},
        {"activation": "eval"},
        {"trained_on": "mars"},
        {"steps": -1},
        {"task": ""},
        {"returns": (0.0, 1.0)},
        {"returns": (0.0, -1.0, 5.0)},
        {"returns": (0.0, float("inf"), 5.0)},
    ],
)
def test_a_bad_config_names_its_field(change):
    values = {name: getattr(CONFIG, name) for name in CONFIG.__dataclass_fields__} | change
    with pytest.raises(InputError, match=f"{next(iter(change))}: expected"):
        PolicyConfig(**values)


def _flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset % len(data)] ^= 1
    path.write_bytes(data)


def _edit(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def _resign(path, change):
    def both(record):
        change(record)
        body = {k: v for k, v in record.items() if k != "digest"}
        record["digest"] = digest(json.dumps(body, sort_keys=True).encode())

    _edit(path, both)


WEIGHTS_DAMAGE = {
    "missing": lambda p: p.unlink(),
    "empty": lambda p: p.write_bytes(b""),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:-9]),
    "longer": lambda p: p.write_bytes(p.read_bytes() + b"\0"),
    "header flip": lambda p: _flip(p, 20),
    "length flip": lambda p: _flip(p, 1),
    "payload flip": lambda p: _flip(p, -5),
    "text": lambda p: p.write_text("hello"),
    "pickle": lambda p: p.write_bytes(pickle.dumps({"weights": [1, 2]})),
    "zeros": lambda p: p.write_bytes(bytes(p.stat().st_size)),
    "folder": lambda p: (p.unlink(), p.mkdir()),
}

CONFIG_DAMAGE = {
    "missing": lambda p: p.unlink(),
    "empty": lambda p: p.write_bytes(b""),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:-9]),
    "not utf-8": lambda p: p.write_bytes(b"\xff\xfe{}"),
    "list": lambda p: p.write_text("[]"),
    "deep": lambda p: p.write_text("[" * 100_000),
    "huge": lambda p: p.write_text(" " * (2 << 20) + "{}"),
    "other format": lambda p: _resign(p, lambda r: r.update(format="lerobot")),
    "edited": lambda p: _edit(p, lambda r: r.update(observation_dim=3)),
    "flip": lambda p: _flip(p, 60),
    "wrong sizes": lambda p: _resign(p, lambda r: r.update(hidden=[9, 9])),
    "wrong type": lambda p: _resign(p, lambda r: r.update(hidden="eight")),
    "field lost": lambda p: _resign(p, lambda r: r.pop("action_low")),
    "unicode": lambda p: _resign(p, lambda r: r.update(task=7, note="\ud800")),
    "folder": lambda p: (p.unlink(), p.mkdir()),
}


@pytest.mark.parametrize("kind", WEIGHTS_DAMAGE)
def test_damaged_weights_are_a_named_error(saved, kind):
    _, folder = saved
    WEIGHTS_DAMAGE[kind](folder / "policy.safetensors")
    with pytest.raises(CheckpointError, match=r"policy\.safetensors"):
        Policy.load(folder)


@pytest.mark.parametrize("kind", CONFIG_DAMAGE)
def test_a_damaged_config_is_a_named_error(saved, kind):
    _, folder = saved
    CONFIG_DAMAGE[kind](folder / "config.json")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        Policy.load(folder)


def test_a_damaged_world_model_copy_is_a_named_error(saved):
    _, folder = saved
    _flip(folder / "model" / "model.safetensors", 3)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        Policy.load(folder)


def test_no_folder_is_a_named_error(tmp_path):
    with pytest.raises(CheckpointError, match="policy: expected a policy folder"):
        Policy.load(tmp_path / "nothing")


def test_a_full_disk_leaves_the_old_policy(saved, monkeypatch):
    policy, folder = saved
    obs = np.ones((3, 2), np.float32)
    before = policy.act(obs)
    with torch.no_grad():
        policy.network.action_net.bias.add_(0.3)

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("write_bytes", "write_json"):
        with monkeypatch.context() as patch:
            patch.setattr(f"agents.policy_files.atomic.{name}", full)
            with pytest.raises(OSError, match="No space"):
                policy.save(folder)
        np.testing.assert_array_equal(Policy.load(folder).act(obs), before)
    policy.save(folder)
    assert not np.array_equal(Policy.load(folder).act(obs), before)


class Killed(BaseException):
    """What no handler of ours catches."""


def test_a_kill_between_any_two_steps_of_a_save_leaves_the_old_or_the_new_one(saved, tmp_path, toy, monkeypatch):
    """Config, weights and world model change together: the old three or the new three are read, never a mixture."""

    class Other(toy.Model):
        def save_pretrained(self, folder):
            super().save_pretrained(folder)
            (folder / "model.safetensors").write_bytes(b"other weights")

    def read(folder):
        policy = Policy.load(folder)
        return policy.config.steps, (policy_files.model_folder(folder) / "model.safetensors").read_bytes()

    places = [(policy_files.atomic, "write_bytes"), (policy_files.atomic, "write_json"), (shutil, "rmtree")]
    places += [(pathlib.Path, "rename"), (pathlib.Path, "replace"), (Other, "save_pretrained")]
    old, new, survivors = (7, b"toy weights"), (9, b"other weights"), []
    for last in itertools.count():
        folder = shutil.copytree(saved[1], tmp_path / f"killed-{last}")
        steps = itertools.count()

        def counted(do, steps=steps, last=last):
            def step(*arguments, **options):
                if next(steps) == last:
                    raise Killed
                return do(*arguments, **options)

            return step

        with monkeypatch.context() as patch:
            for place, name in places:
                patch.setattr(place, name, counted(getattr(place, name)))
            try:
                Policy(CONFIG, model=Other(), seed=4).save(folder, steps=9)
            except Killed:
                pass
            else:
                break
        survivors.append(read(folder))
        Policy(CONFIG, model=Other(), seed=4).save(folder, steps=9)
        assert read(folder) == new, "the next save mends what was left"
    assert set(survivors) == {old, new} and survivors == sorted(survivors) and len(survivors) > 8
    assert read(folder) == new and {p.name for p in folder.iterdir()} == {p.name for p in saved[1].iterdir()}
    (tmp_path / "first" / "model.next").mkdir(parents=True)  # a first save, killed
    Policy(CONFIG, model=Other(), seed=4).save(tmp_path / "first", steps=9)
    assert read(tmp_path / "first") == new


@pytest.mark.slow  # what could be between two steps of a save is tried above; this one has real kills
def test_kills_while_saving_never_lose_the_policy(saved, tmp_path):
    """SIGKILL at random moments of a save loop; each survivor loads and never goes back in steps."""
    _, folder = saved
    script = textwrap.dedent(
        """
        import sys
        from agents.policy import Policy
        policy = Policy.load(sys.argv[1])
        policy._model = object()
        print("ready", flush=True)
        for step in range(policy.config.steps + 1, 10**9):
            policy.save(sys.argv[1], steps=step)
            print(step, flush=True)
        """
    )
    for attempt in range(3):
        child = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.05 + 0.031 * attempt)
        child.send_signal(signal.SIGKILL)
        told = [int(line) for line in child.stdout.read().split()]
        child.wait()
        child.stdout.close()
        assert Policy.load(folder).config.steps >= (told[-1] if told else 7)


def test_a_kill_between_config_and_weights_is_mended(saved, monkeypatch):
    policy, folder = saved
    old = shutil.copy(folder / "policy.safetensors", folder.parent / "old")
    with torch.no_grad():
        policy.network.action_net.bias.add_(0.3)
    policy.save(folder)
    os.replace(folder / "policy.safetensors", folder / "policy.next.safetensors")
    shutil.copy(old, folder / "policy.safetensors")
    obs = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(Policy.load(folder).act(obs), policy.act(obs))
