"""Recording loses no transition, above all not the terminal one, and depends on its seed alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from agents.recording.behaviour import RandomActions, ZeroActions, parse_repeat
from agents.recording.record import record
from wmenv.data import EpisodeStore
from wmenv.errors import DataError, InputError, WmenvError

HERE = Path(__file__).parent
TASK = "record-test/Stub-v0"


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch):
    """Registers the stub under several ids, importable by the recording's processes."""
    monkeypatch.syspath_prepend(str(HERE))
    ids = {TASK: {}, "record-test/Endless-v0": {"mode": "endless"}, "record-test/Diverges-v0": {"mode": "diverges"}}
    ids |= {"record-test/Fails-v0": {"mode": "fails"}}
    for name, kwargs in ids.items():
        limit = 7 if "Endless" in name else None
        gymnasium.register(name, entry_point="record_stub:StubEnv", max_episode_steps=limit, kwargs=kwargs)
    yield
    for name in ids:
        del gymnasium.registry[name]


def recorded(out: Path, steps: int = 60, policy: object = "random", task: str = TASK, **options) -> EpisodeStore:
    options = {"obs": "state", "num_envs": 3, "progress": False} | options
    return record(task, steps, policy, out, **options)  # type: ignore[arg-type]


def check_episode(e) -> None:
    """Every row follows from the action before it."""
    steps = e.num_steps
    seed = e.start_seed % 1000
    np.testing.assert_array_equal(e.state, np.stack([np.arange(steps + 1), np.full(steps + 1, seed)], 1))
    np.testing.assert_array_equal(e.qpos[1:], e.action)
    np.testing.assert_array_equal(e.qpos[0], 0)
    np.testing.assert_array_equal(e.qvel[1:, 0], e.reward)
    np.testing.assert_allclose(e.reward, np.arange(1, steps + 1) + seed / 1000)


def test_every_transition_and_the_terminal_observation_are_kept(tmp_path: Path):
    store = recorded(tmp_path / "d", steps=400)
    episodes = store.load()
    assert store.num_steps == 402  # three environments: a whole round at least
    assert [e.terminated or e.truncated for e in episodes].count(False) <= 3
    for e in episodes:
        check_episode(e)
        end = 1 + e.start_seed % 1000 % 9
        assert not e.truncated
        assert e.terminated == (e.num_steps == end) and e.num_steps <= end
        if e.terminated:
            assert e.state[-1, 0] == end  # the terminal observation, not the next episode's first
            assert e.reward[-1] == pytest.approx(end + e.start_seed % 1000 / 1000)
    assert len({e.start_seed for e in episodes}) == len(episodes)


def test_frames_and_state_are_both_recorded(tmp_path: Path):
    store = recorded(tmp_path / "d", obs="frames", size=16)
    for e in store:
        check_episode(e)
        assert e.frames is not None and e.frames.shape == (e.num_steps + 1, 16, 16, 3)
        np.testing.assert_array_equal(e.frames[:, 0, 0, 1], e.state[:, 0])
        np.testing.assert_array_equal(e.frames[:, 0, 0, 0], e.state[:, 1] % 256)


def test_time_limits_are_truncations_and_the_rest_is_cut_off(tmp_path: Path):
    store = recorded(tmp_path / "d", steps=30, task="record-test/Endless-v0", num_envs=2)
    assert [e.num_steps for e in store] == [7, 7, 7, 7, 1, 1]
    assert [e.truncated for e in store] == [True] * 4 + [False] * 2
    assert not any(e.terminated for e in store)
    assert store.info.max_episode_steps == 7


def test_a_diverged_step_is_cut_off(tmp_path: Path):
    store = recorded(tmp_path / "d", steps=30, task="record-test/Diverges-v0")
    for e in store:
        check_episode(e)
        assert e.num_steps <= 2 and not e.terminated and not e.truncated


def same_data(a: Path, b: Path) -> bool:
    names = [sorted(p.relative_to(x) for p in x.rglob("*") if p.is_file()) for x in (a, b)]
    return names[0] == names[1] and all((a / n).read_bytes() == (b / n).read_bytes() for n in names[0])


def test_the_seed_decides_and_the_processes_do_not(tmp_path: Path):
    recorded(tmp_path / "a", seed=5, num_processes=1)
    recorded(tmp_path / "b", seed=5, num_processes=3)
    recorded(tmp_path / "c", seed=6)
    assert same_data(tmp_path / "a", tmp_path / "b")
    assert not same_data(tmp_path / "a", tmp_path / "c")


def test_a_second_recording_continues_with_new_episodes(tmp_path: Path):
    first = recorded(tmp_path / "d").load()
    both = recorded(tmp_path / "d", policy="zero").load()
    assert len(both) > len(first)
    seeds = [e.start_seed for e in both]
    assert len(set(seeds)) == len(seeds)
    assert all((e.action == 0).all() for e in both[len(first) :])


class Follows:
    """Acts by what it sees, and notes when it was told of a new episode."""

    def __init__(self) -> None:
        self.masks: list[np.ndarray] = []
        self.seen: list[np.ndarray] = []

    def reset(self, mask: np.ndarray) -> None:
        self.masks.append(mask)

    def act(self, obs: np.ndarray) -> np.ndarray:
        self.seen.append(obs)
        return np.stack([obs[:, 0] / 10, obs[:, 1] / 1000], 1)


def test_an_object_acts_on_the_observation_before_its_action(tmp_path: Path):
    policy = Follows()
    store = recorded(tmp_path / "d", policy=policy)
    for e in store:
        check_episode(e)
        np.testing.assert_allclose(e.action, np.float32([[s / 10, e.state[0, 1] / 1000] for s in range(e.num_steps)]))
    for mask, seen in zip(policy.masks, policy.seen, strict=True):
        np.testing.assert_array_equal(mask, seen[:, 0] == 0)
    assert store.info.policy == "Follows"


def test_an_object_sees_frames_when_frames_are_recorded(tmp_path: Path):
    policy = Follows()
    policy.act = lambda obs: (policy.seen.append(obs), np.zeros((3, 2)))[1]  # type: ignore[method-assign]
    recorded(tmp_path / "d", steps=9, policy=policy, obs="frames", size=16)
    assert policy.seen[0].shape == (3, 16, 16, 3) and policy.seen[0].dtype == np.uint8


@pytest.fixture
def stored_policy(tmp_path: Path) -> Path:
    """A policy over a world model of the stub's states that has hardly been trained; it acts without noise."""
    from dataclasses import replace

    from agents import Policy, PolicyConfig
    from wmenv.presets import PRESETS
    from wmenv.train import train
    from wmenv.types import LATENT_BOUND

    recorded(tmp_path / "before", steps=200)
    model = train(
        tmp_path / "before", tmp_path / "model", preset=replace(PRESETS["tiny"], steps=2, rows=4, frames=4, starts=4)
    )
    config = PolicyConfig(
        task=TASK,
        observation_dim=model.config.history * model.config.num_tokens * model.config.token_dim,
        observation_bound=LATENT_BOUND,
        action_low=model.config.action_low,
        action_high=model.config.action_high,
        log_std_init=-30.0,
    )
    return Policy(config, model=model, seed=3).save(tmp_path / "policy")


def test_a_stored_policy_sees_each_episode_through_its_own_encoder(tmp_path: Path, stored_policy: Path):
    import torch

    from agents import Policy

    store = recorded(tmp_path / "d", steps=60, policy=stored_policy, obs="frames", size=16)
    policy = Policy.load(stored_policy)
    for e in store:
        check_episode(e)
        state, expected = policy.model.encoder_reset(torch.from_numpy(e.state[:1])), []
        for t in range(e.num_steps):
            expected.append(policy.act(policy.model.encoder_observation(state))[0])
            state = policy.model.encoder_step(state, torch.from_numpy(e.state[t + 1 : t + 2]))
        np.testing.assert_allclose(e.action, expected, atol=1e-4)
    assert len({float(a) for e in store for a in e.action[:, 0]}) > 5  # it does look
    assert store.info.policy == str(stored_policy)
    with pytest.raises(InputError, match="^policy: expected one for record-test/Endless-v0"):
        recorded(tmp_path / "other", task="record-test/Endless-v0", policy=stored_policy)


def test_each_episode_has_a_share_of_the_policys_noise(stored_policy: Path):
    """The mean action is 0 and every sample 1 here, so that an action is the share itself."""
    from agents.recording.behaviour import StoredPolicy

    def shares(seed: int) -> np.ndarray:
        actor = StoredPolicy(stored_policy, task=TASK, size=16, num_envs=50, seed=seed)
        actor._policy.act = lambda obs, deterministic=True: np.full((len(obs), 2), float(not deterministic), np.float32)
        size = actor._policy.model.config.state_dim
        rows = []
        for begins in (np.ones(50, bool), np.zeros(50, bool), np.arange(50) < 25):
            actor.reset(begins)
            rows.append(actor.act(np.zeros((50, size), np.float32)))
        return np.stack(rows)

    first, second, third = shares(0)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[25:], third[25:])
    assert (first[:25] != third[:25]).all() and (first[:, 0] == first[:, 1]).all()
    assert 0 <= first.min() < 0.2 and 0.8 < first.max() <= 1
    np.testing.assert_array_equal(shares(1), np.stack((first, second, third)), "policies can be compared")
    assert first[0, 0] == 0 and np.isclose(third[0, 0], 0.618, atol=1e-3)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros((3, 1)), "shape"),
        (np.full((3, 2), np.nan), "finite"),
        ("up", "numbers"),
        (None, "shape|numbers|finite"),
    ],
)
def test_bad_actions_are_named_and_finished_episodes_stored(tmp_path: Path, actions, message):
    policy, calls = Follows(), []
    policy.act = lambda obs: (calls.append(1), actions if len(calls) > 15 else np.zeros((3, 2)))[1]  # type: ignore
    with pytest.raises(InputError, match=f"^policy: expected .*({message})"):
        recorded(tmp_path / "d", policy=policy)
    store = EpisodeStore.open(tmp_path / "d")
    assert store.num_episodes > 0 and all(e.terminated for e in store)


def test_actions_are_kept_inside_the_box(tmp_path: Path):
    policy = Follows()
    policy.act = lambda obs: np.full((3, 2), 100.0)  # type: ignore[method-assign]
    for e in recorded(tmp_path / "d", steps=9, policy=policy):
        np.testing.assert_array_equal(e.action, np.broadcast_to(np.float32([1, 2]), e.action.shape))


def test_random_actions_fill_the_box_and_hold():
    low, high = np.float32([-1, 0]), np.float32([1, 5])
    entropy = [(0, i) for i in range(4)]
    one = RandomActions(low, high, entropy).actions(4000)
    assert one.shape == (4000, 4, 2) and one.dtype == np.float32
    np.testing.assert_allclose(one.min((0, 1)), low, atol=0.01)
    np.testing.assert_allclose(one.max((0, 1)), high, atol=0.01)
    np.testing.assert_allclose(one.mean((0, 1)), (low + high) / 2, atol=0.1)
    assert len(np.unique(one[:, :, 0])) > 15_000  # no two environments share a stream
    pieces = RandomActions(low, high, entropy)
    np.testing.assert_array_equal(np.concatenate([pieces.actions(n) for n in (1, 7, 0, 92)]), one[:100])
    alone = RandomActions(low, high, entropy[2:3])
    np.testing.assert_array_equal(alone.actions(50)[:, 0], one[:50, 2])
    held = RandomActions(low, high, entropy, repeat=4)
    steps = np.concatenate([held.actions(n) for n in (3, 6, 11)])
    np.testing.assert_array_equal(steps, np.repeat(one[:5], 4, axis=0))


def test_zero_actions_stay_inside_the_box():
    actions = ZeroActions(np.float32([-1, 2]), np.float32([1, 3]), 4).actions(3)
    np.testing.assert_array_equal(actions, np.broadcast_to(np.float32([0, 2]), (3, 4, 2)))


@pytest.mark.parametrize("text", ["random:0", "random:x", "random:-1", "random:1001", "random:", "random:1.5"])
def test_bad_holds_are_named(text: str, tmp_path: Path):
    with pytest.raises(InputError, match="^policy: expected 'random'"):
        parse_repeat(text)
    with pytest.raises(InputError, match="^policy"):
        recorded(tmp_path / "d", policy=text)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "^steps: expected an integer >= 1, got 0"),
        ({"steps": 1.5}, "^steps"),
        ({"steps": True}, "^steps"),
        ({"num_envs": 0}, "^num_envs"),
        ({"num_processes": 0}, "^num_processes"),
        ({"seed": -1}, "^seed"),
        ({"obs": "latent"}, "^obs: expected 'frames' or 'state'"),
        ({"obs": "frames", "size": 0}, "^size"),
    ],
)
def test_bad_arguments_are_named_and_leave_no_folder(tmp_path: Path, options, message):
    with pytest.raises(InputError, match=message):
        recorded(tmp_path / "d", **options)
    assert not (tmp_path / "d").exists()


def test_an_unknown_task_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="^task: expected a registered task id, got 'wmenv/Hoper-v0'"):
        recorded(tmp_path / "d", task="wmenv/Hoper-v0")
    with pytest.raises(InputError, match="^task: expected a task of `physics.task_ids"):
        record("CartPole-v1", 10, "random", tmp_path / "d", obs="state", progress=False)
    assert not (tmp_path / "d").exists()


def test_a_task_that_no_other_process_can_make_is_refused(tmp_path: Path):
    from record_stub import StubEnv

    gymnasium.register("record-test/Lambda-v0", entry_point=lambda **kwargs: StubEnv(**kwargs), max_episode_steps=10)
    with pytest.raises(InputError, match="task: expected one that other processes can make, got record-test/Lambda"):
        recorded(tmp_path / "d", task="record-test/Lambda-v0")
    assert not (tmp_path / "d").exists()


def test_a_missing_policy_is_named(tmp_path: Path):
    with pytest.raises(WmenvError, match="nowhere"):
        recorded(tmp_path / "d", policy=str(tmp_path / "nowhere"))
    assert not (tmp_path / "d").exists()


def test_other_data_sets_are_refused(tmp_path: Path):
    path = tmp_path / "d"
    recorded(path)
    with pytest.raises(DataError, match="task: expected record-test/Endless-v0, got record-test/Stub-v0"):
        recorded(path, task="record-test/Endless-v0")
    with pytest.raises(DataError, match="size: expected None as recorded there, got 16"):
        recorded(path, obs="frames", size=16)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="^path: expected a new or empty folder"):
        recorded(tmp_path / "other")
    assert EpisodeStore.open(path).num_steps == 60


def test_a_failing_task_is_named_and_finished_episodes_stored(tmp_path: Path):
    with pytest.raises(WmenvError, match="process 0: RuntimeError: the stub fails"):
        recorded(tmp_path / "d", task="record-test/Fails-v0")
    assert EpisodeStore.open(tmp_path / "d").num_episodes == 0


def test_a_dead_process_is_named(tmp_path: Path):
    policy, calls = Follows(), []

    def act(obs: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) == 20:
            for child in children_of(os.getpid()):
                os.kill(child, signal.SIGKILL)
        return np.zeros((3, 2))

    policy.act = act  # type: ignore[method-assign]
    with pytest.raises(WmenvError, match=r"expected process 0 to answer, got its end \(-9\)"):
        recorded(tmp_path / "d", policy=policy, num_processes=1)
    assert EpisodeStore.open(tmp_path / "d").num_episodes > 0


def children_of(pid: int) -> list[int]:
    """The recording's processes among the children of `pid`."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            command = (path / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == pid and b"recording/worker.py" in command:
            found.append(int(path.name))
    return found


def test_no_process_outlives_a_recording(tmp_path: Path):
    policy, seen = Follows(), []

    def act(obs: np.ndarray) -> np.ndarray:
        seen.extend(children_of(os.getpid()))
        return np.zeros((3, 2))

    policy.act = act  # type: ignore[method-assign]
    recorded(tmp_path / "d", policy=policy)
    assert seen and children_of(os.getpid()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_has_ended_and_says_where(tmp_path: Path, number: int):
    policy, calls, handled = Follows(), [], []

    def act(obs: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) == 20:
            os.kill(os.getpid(), number)
        return np.zeros((3, 2))

    def handler(number: int, frame: object) -> None:
        handled.append(number)
        raise KeyboardInterrupt

    policy.act = act  # type: ignore[method-assign]
    old = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(KeyboardInterrupt, match=rf"\d+ episodes \(\d+ steps\) are in {tmp_path / 'd'}"):
            recorded(tmp_path / "d", steps=10**6, policy=policy)
        assert signal.getsignal(signal.SIGTERM) is handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, old)
    assert handled == ([signal.SIGTERM] if number == signal.SIGTERM else [])
    store = EpisodeStore.open(tmp_path / "d")
    assert store.num_episodes > 0 and all(e.terminated for e in store)
    assert len(calls) == 20


def test_it_records_in_a_thread_too(tmp_path: Path):
    thread = threading.Thread(target=recorded, args=(tmp_path / "d",))
    thread.start()
    thread.join()
    assert EpisodeStore.open(tmp_path / "d").num_steps == 60


RECORDER = """
import sys
sys.path[:0] = [sys.argv[1]]
import gymnasium
gymnasium.register("record-test/Stub-v0", entry_point="record_stub:StubEnv")
from agents.recording.record import record
record("record-test/Stub-v0", 10**9, "random", sys.argv[2], obs="state", num_envs=4, progress=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_recording_keeps_what_it_stored(tmp_path: Path, number: int):
    path = tmp_path / "d"
    process = subprocess.Popen([sys.executable, "-c", RECORDER, str(HERE), str(path)], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 90
        while not (path / "meta/episodes/chunk-000/file-003.parquet").exists() and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read().decode()  # type: ignore[union-attr]
            time.sleep(0.02)
        children = children_of(process.pid)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    store = EpisodeStore.open(path)
    assert store.num_episodes > 100
    for e in store:
        check_episode(e)
        assert e.terminated
    if number == signal.SIGINT:
        assert b"recording stopped" in stderr and store.opened.removed == ()
    deadline = time.monotonic() + 10  # the parent's end is the children's
    while any(Path(f"/proc/{child}/cmdline").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{child}").exists() for child in children)
