"""A dream belongs to its seed: alone, in any batch, after saving, loading and forking."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.wmenv.envs.toy import ToyModel
from wmenv.envs import DreamEnv, DreamNotReset, DreamVectorEnv
from wmenv.envs.invariant import CHUNK, places, run_in_chunks
from wmenv.errors import InputError


class GemmModel(ToyModel):
    """The toy with a large matrix product in its step, whose rounding may depend on the batch."""

    def __init__(self) -> None:
        super().__init__(bound=2.0)
        generator = torch.Generator().manual_seed(1)
        self.wide = torch.randn(6, 1000, generator=generator)
        self.back = torch.randn(1000, 6, generator=generator) / 1000

    def step(self, state, action, noise):
        out = super().step(state, action, noise)
        extra = (torch.tanh(state.latents[:, -1].flatten(1) @ self.wide) @ self.back).view_as(out.state.latents[:, -1])
        latents = torch.cat((out.state.latents[:, :-1], (out.state.latents[:, -1] + extra)[:, None]), dim=1)
        return out._replace(state=out.state._replace(latents=latents))


def roll(model, num_envs: int, first: int, steps: int = 40, **options) -> tuple[np.ndarray, ...]:
    """Observations, rewards and ends of the rows with seeds first, first + 1, ...; the action follows the seed."""
    envs = DreamVectorEnv(model, num_envs, **options)
    obs, _ = envs.reset(seed=first)
    seeds = np.arange(first, first + num_envs)[:, None] + np.arange(2)
    trace = [(obs, np.zeros(num_envs, np.float32), np.zeros(num_envs, bool))]
    for t in range(steps):
        obs, reward, terminated, truncated, _ = envs.step(np.sin(seeds * 1.7 + t))
        trace.append((obs, reward, terminated | truncated))
    return tuple(np.stack(x) for x in zip(*trace, strict=True))


@pytest.mark.parametrize(("model", "options"), [(ToyModel(), {}), (GemmModel(), {"batch_invariant": True})])
def test_a_row_is_bit_equal_alone_among_64_and_among_1024(model: ToyModel, options: dict) -> None:
    whole = roll(model, 1024, 100, **options)
    assert whole[2].sum() > 1024
    some = roll(model, 64, 150, **options)
    for full, part in zip(whole, some, strict=True):
        assert np.array_equal(full[:, 50:114], part)
    for row in (50, 63, 113):
        alone = roll(model, 1, 100 + row, **options)
        for full, part in zip(whole, alone, strict=True):
            assert np.array_equal(full[:, row : row + 1], part)


def test_without_the_invariant_path_only_rounding_differs() -> None:
    whole, alone = roll(GemmModel(), 300, 0, steps=10), roll(GemmModel(), 1, 7, steps=10)
    assert np.allclose(whole[0][:, 7:8], alone[0], atol=1e-5)


@pytest.mark.parametrize("batch_invariant", [False, True])
def test_the_noise_is_identical_in_every_batch(batch_invariant: bool) -> None:
    class Listening(ToyModel):
        def step(self, state, action, noise):
            self.heard.append(noise)
            return super().step(state, action, noise)

    def heard(num_envs: int, first: int) -> list[torch.Tensor]:
        model = Listening(bound=1e9)
        envs = DreamVectorEnv(model, num_envs, batch_invariant=batch_invariant, steps=3, horizon=4)
        envs.reset(seed=first)
        noises = []
        for _ in range(10):
            model.heard = []
            envs.step(np.zeros((num_envs, 2)))
            noises.append(torch.cat(model.heard))
        return noises

    for alone, many in zip(heard(1, 20), heard(64, 0), strict=True):
        assert alone.shape[1:] == (3, 2, 3)
        row = 20 % CHUNK if batch_invariant else 0
        assert torch.equal(alone[row], many[20])


def test_same_seed_same_dream_and_other_seed_other_dream() -> None:
    one, two, other = roll(ToyModel(), 8, 5), roll(ToyModel(), 8, 5), roll(ToyModel(), 8, 6)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert np.array_equal(one[0][0, 1:], other[0][0, :-1])  # seed + i


def test_reseeding_in_the_middle_forgets_the_past() -> None:
    envs = DreamVectorEnv(ToyModel(), 3)
    fresh, _ = envs.reset(seed=1)
    envs.step(np.ones((3, 2)))
    assert np.array_equal(envs.reset(seed=1)[0], fresh)
    envs.step(np.ones((3, 2)))
    envs.reset(seed=[None, 2, None])
    mask = np.array([True, False, True])
    kept = envs.save_state().core.counter[1]
    obs, _ = envs.reset(seed=1, options={"reset_mask": mask})
    state = envs.save_state().core
    assert np.array_equal(obs[mask], fresh[mask])
    assert state.seed.tolist() == [1, 2, 3]
    assert state.counter.tolist() == [1, kept, 1]
    with pytest.raises(InputError):
        envs.reset(seed=[1, 2.5, 3])


def test_without_a_seed_rows_and_environments_differ_and_go_on() -> None:
    one, two = DreamVectorEnv(ToyModel(num_starts=500), 50), DreamVectorEnv(ToyModel(num_starts=500), 50)
    first, _ = one.reset()
    assert not np.array_equal(first, two.reset()[0])
    assert len(np.unique(first, axis=0)) > 40
    assert not np.array_equal(first, one.reset()[0])


def test_single_equals_row_zero_of_the_vector_over_many_episodes() -> None:
    model = ToyModel()
    env, envs = DreamEnv(model), DreamVectorEnv(model, 3)
    obs, info = env.reset(seed=12)
    many, infos = envs.reset(seed=12)
    assert info == {"start": infos["start"][0]}
    rng = np.random.default_rng(0)
    for _ in range(300):
        assert np.array_equal(obs, many[0])
        action = rng.uniform(-1, 1, (3, 2))
        obs, reward, terminated, truncated, info = env.step(action[0])
        many, rewards, terminations, truncations, infos = envs.step(action)
        assert (reward, terminated, truncated) == (rewards[0], terminations[0], truncations[0])
        if terminated or truncated:
            assert np.array_equal(obs, infos["final_obs"][0])
            obs, info = env.reset()
            assert info["start"] == infos["start"][0]


def go_on(envs: DreamVectorEnv, steps: int = 30, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    out: list[np.ndarray] = []
    for _ in range(steps):
        out.extend(envs.step(rng.uniform(-1, 1, envs.action_space.shape))[:4])
    return out


def equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_save_and_load_go_on_exactly_here_and_elsewhere() -> None:
    envs = DreamVectorEnv(ToyModel(), 4)
    envs.reset(seed=3)
    go_on(envs, 7)
    obs = envs.step(np.zeros((4, 2)))[0]
    snapshot = envs.save_state()
    want = go_on(envs)
    for _ in range(2):
        assert np.array_equal(envs.load_state(snapshot), obs)
        assert equal(go_on(envs), want)
    other = DreamVectorEnv(ToyModel(), 4)
    assert np.array_equal(other.load_state(snapshot), obs)
    assert equal(go_on(other), want)
    single = DreamEnv(ToyModel())
    single.reset(seed=0)
    kept = single.save_state()
    first = single.step(np.zeros(2))
    single.load_state(kept)
    assert np.array_equal(single.step(np.zeros(2))[0], first[0])


def test_save_and_load_remember_who_has_ended() -> None:
    envs = DreamVectorEnv(ToyModel(), 4, horizon=1, autoreset_mode="Disabled")
    envs.reset(seed=0)
    alive = envs.save_state()
    envs.step(np.zeros((4, 2)))
    ended = envs.save_state()
    envs.load_state(alive)
    envs.step(np.zeros((4, 2)))
    envs.reset()
    envs.load_state(ended)
    with pytest.raises(DreamNotReset):
        envs.step(np.zeros((4, 2)))


def test_load_refuses_what_does_not_fit() -> None:
    envs, other = DreamVectorEnv(ToyModel(), 4), DreamVectorEnv(ToyModel(), 3)
    envs.reset(seed=0)
    for bad in (None, {}, envs.save_state().core):
        with pytest.raises(InputError, match="snapshot: expected"):
            other.load_state(bad)
    with pytest.raises(InputError, match="snapshot: expected rows of shapes"):
        other.load_state(envs.save_state())


def test_fork_shares_the_noise_of_its_parent() -> None:
    envs = DreamVectorEnv(ToyModel(), 4)
    envs.reset(seed=3)
    go_on(envs, 5)
    obs = envs.fork(2, [0, 3])
    assert np.array_equal(obs[0], obs[2])
    assert np.array_equal(obs[3], obs[2])
    assert not np.array_equal(obs[1], obs[2])
    for t in range(60):  # beyond several resets
        obs, reward, *_ = envs.step(np.full((4, 2), np.sin(t)))
        assert np.array_equal(obs[[0, 3]], obs[[2, 2]])
        assert (reward[[0, 3]] == reward[2]).all()
    assert not np.array_equal(obs[1], obs[2])


def test_fork_leaves_the_parent_and_the_others_as_they_were() -> None:
    envs, twin = DreamVectorEnv(ToyModel(), 4), DreamVectorEnv(ToyModel(), 4)
    envs.reset(seed=3), twin.reset(seed=3)
    envs.fork(2, [0, 3])
    for mine, theirs in zip(go_on(envs), go_on(twin), strict=True):
        assert np.array_equal(mine[1:3], theirs[1:3])


def test_fork_with_seeds_of_its_own() -> None:
    envs = DreamVectorEnv(ToyModel(), 4)
    envs.reset(seed=3)
    go_on(envs, 5)
    snapshot = envs.save_state()
    obs = envs.fork(2, [0, 3], reseed=True)
    assert (obs == obs[2]).all(axis=1).tolist() == [True, False, True, True]
    state = envs.save_state().core
    assert torch.equal(state.seed, snapshot.core.seed)
    assert torch.equal(state.counter, snapshot.core.counter)
    obs = envs.step(np.zeros((4, 2)))[0]
    assert len(np.unique(obs, axis=0)) == 4
    envs.load_state(snapshot)
    envs.fork(2, [0, 1], reseed=[77, 77])
    obs = envs.step(np.zeros((4, 2)))[0]
    assert np.array_equal(obs[0], obs[1])
    assert not np.array_equal(obs[0], obs[2])
    assert envs.save_state().core.seed.tolist() == [77, 77, 5, 6]


@pytest.mark.parametrize(
    ("source", "targets", "reseed", "text"),
    [
        (4, [0], False, "source: expected different ints of 0 to 3"),
        (-1, [0], False, "source"),
        (0.5, [1], False, "source"),
        (0, [1, 4], False, "targets: expected"),
        (0, [1, 1], False, "targets: expected different"),
        (0, 1, False, "targets: expected"),
        (0, [1.0], False, "targets: expected"),
        (0, [1, 2], [5], "seed: expected 2 seeds, got 1"),
        (0, [1, 2], [5, -1], "seed: expected ints"),
        (0, [1, 2], [5, None], "seed: expected ints"),
    ],
)
def test_bad_forks_change_nothing(source, targets, reseed, text: str) -> None:
    envs = DreamVectorEnv(ToyModel(), 4)
    envs.reset(seed=3)
    before = envs.save_state()
    with pytest.raises(InputError, match=text):
        envs.fork(source, targets, reseed=reseed)
    assert torch.equal(before.core.dream.latents, envs.save_state().core.dream.latents)
    assert (envs.fork(1, [], reseed=False) == envs.load_state(before)).all()


def test_places_depend_on_the_seed_alone() -> None:
    for seeds in (torch.arange(5, 69), torch.tensor([7]), torch.tensor([3, 3, 3 + CHUNK, 4])):
        source, place = places(seeds)
        assert len(source) % CHUNK == 0
        assert torch.equal(place % CHUNK, seeds % CHUNK)
        assert torch.equal(source[place], torch.arange(len(seeds)))
    shapes = []

    def spy(x: torch.Tensor) -> torch.Tensor:
        shapes.append(len(x))
        return x * 2

    rows = torch.arange(40.0)
    assert torch.equal(run_in_chunks(spy, torch.arange(40) * 5, rows), rows * 2)
    assert set(shapes) == {CHUNK}
