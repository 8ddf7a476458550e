"""Each known bug, injected into a healthy dream, is found by the linter; a healthy dream has no finding."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper

from tests.wmenv.envs.toy import ToyModel
from wmenv.envs import DreamEnv, DreamVectorEnv, Finding, lint
from wmenv.envs.core import CoreReset, DreamCore, gather, write_rows
from wmenv.errors import InputError


def dream(model: ToyModel | None = None, num_envs: int = 8, horizon: int = 9) -> DreamVectorEnv:
    return DreamVectorEnv(model or ToyModel(bound=1.5), num_envs, horizon=horizon)


def codes(findings: list[Finding]) -> set[str]:
    return {finding.code for finding in findings}


@pytest.mark.parametrize("modality", ["state", "frames"])
@pytest.mark.parametrize("bound", [0.8, 1e9])
@pytest.mark.parametrize("history", [1, 4])
def test_a_healthy_dream_has_no_finding(modality: str, bound: float, history: int) -> None:
    model = ToyModel(modality, bound=bound, history=history)
    assert lint(model) == []
    assert lint(dream(model)) == []
    assert lint(DreamVectorEnv(model, 8, horizon=9, obs=modality)) == []


def test_a_healthy_dream_agrees_with_its_reality() -> None:
    assert lint(dream(), real=dream(num_envs=4)) == []


def test_a_foreign_healthy_environment_has_no_finding() -> None:
    def make() -> VectorEnv:
        return DreamEnv(ToyModel(), horizon=7)

    assert lint(SyncVectorEnv([make] * 4, autoreset_mode=AutoresetMode.SAME_STEP)) == []


# 1. Frozen latent.


class FrozenLatent(ToyModel):
    def step(self, state, action, noise):
        out = super().step(state, action, noise)
        return out._replace(state=state)


class ForgetsTheState(ToyModel):
    """Every step starts from the first latent again, which noise and stacking hide."""

    def step(self, state, action, noise):
        anchor = state.latents.clone()
        anchor[:, -1] = self.starts[0, -1]
        return super().step(
            state._replace(latents=anchor, cached=torch.ones_like(state.cached), keys=0 * state.keys), action, noise
        )


@pytest.mark.parametrize("model", [FrozenLatent(), ForgetsTheState(), FrozenLatent("frames")])
def test_frozen_latent(model: ToyModel) -> None:
    assert codes(lint(model)) == {"frozen"}
    assert codes(lint(dream(model))) == {"frozen"}


# 2. Action off by one.


class LateActions(VectorWrapper):
    """Applies to each step the action of the step before."""

    def reset(self, **kwargs):
        self.before = np.zeros(self.action_space.shape, np.float32)
        return self.env.reset(**kwargs)

    def step(self, actions):
        late, self.before = self.before, np.array(actions)
        return self.env.step(late)


class LearnedFromLateActions(ToyModel):
    """What a model learns from windows with shifted actions: the action is noise to it, the true one unknown."""

    def step(self, state, action, noise):
        guess = 2 * torch.sin(100 * noise.flatten(1)[:, :2])
        out = super().step(state, guess, noise)
        return out._replace(reward=out.reward - 0.1 * (action**2).sum(-1))


class WrongDirection(ToyModel):
    def step(self, state, action, noise):
        return super().step(state, action.flip(-1) * torch.tensor([1.0, -1.0]), noise)


def test_action_off_by_one_in_the_environment() -> None:
    found = lint(LateActions(dream()))
    assert "action-late" in codes(found)
    assert "an action changes nothing in its own step" in found[0].message


def test_ignored_actions() -> None:
    assert "action-ignored" in codes(lint(ToyModel(gain=0.0)))


def test_action_off_by_one_in_the_data_needs_reality() -> None:
    model = LearnedFromLateActions(bound=1e9)
    reality = DreamVectorEnv(ToyModel(bound=1e9), 16)
    (finding,) = [f for f in lint(model, real=reality) if f.code == "action-misaligned"]
    assert "off by a step" in finding.message
    (finding,) = lint(WrongDirection(bound=1e9), real=reality)
    assert finding.code == "action-misaligned"
    assert "another direction" in finding.message


class Recorded:
    """Episodes as they are recorded: T + 1 states, T actions and rewards, made by the toy's own dynamics."""

    def __init__(self, shift: int = 0) -> None:
        env = DreamEnv(ToyModel(bound=1e9), obs="state", horizon=40)
        rng = np.random.default_rng(0)
        self.episodes = []
        for seed in range(60):
            states, rewards = [env.reset(seed=seed)[0]], []
            action = rng.uniform(env.action_space.low, env.action_space.high, (40, 2)).astype(np.float32)
            for a in action:
                obs, reward, *_ = env.step(a)
                states.append(obs), rewards.append(reward)
            self.episodes.append((np.stack(states), np.roll(action, shift, axis=0), np.array(rewards)))

    def __iter__(self):
        for state, action, reward in self.episodes:
            yield type("Episode", (), {"state": state, "frames": None, "action": action, "reward": reward})


recorded = functools.cache(Recorded)


class PlainEncoder(ToyModel):
    """The real latent is the state itself, as in the toy's dream."""

    def encoder_step(self, state, obs):
        return state._replace(latents=torch.cat((state.latents[:, 1:], self._read(obs)[:, None]), dim=1))


def test_recorded_episodes_serve_as_reality() -> None:
    assert lint(PlainEncoder(bound=1e9), real=recorded()) == []
    assert "action-misaligned" in codes(lint(PlainEncoder(bound=1e9, gain=-0.3), real=recorded()))
    found = lint(PlainEncoder(bound=1e9), real=recorded(1))  # a recording that is itself off by one
    assert [f.severity for f in found if f.code == "action-misaligned"] == ["unchecked"]
    with pytest.raises(InputError, match="real: expected at least 50 recorded transitions"):
        lint(PlainEncoder(), real=[])
    with pytest.raises(InputError, match="real: expected a VectorEnv, got episodes"):
        lint(dream(), real=recorded())


# 3. Reward not conditioned on the action.


class RewardOfTheOldLatent(ToyModel):
    def step(self, state, action, noise):
        return super().step(state, action, noise)._replace(reward=state.latents[:, -1, 0, 0])


class RewardWithoutTheCost(ToyModel):
    """Reads the next latent, which answers the action, but not the action itself."""

    def step(self, state, action, noise):
        out = super().step(state, action, noise)
        return out._replace(reward=out.state.latents[:, -1, 0, 0])


def test_reward_not_conditioned_on_the_action() -> None:
    assert codes(lint(RewardOfTheOldLatent())) == {"reward-ignores-action"}
    reality = DreamVectorEnv(ToyModel(bound=1e9), 16)
    assert codes(lint(RewardWithoutTheCost(bound=1e9), real=reality)) == {"reward-misses-action"}


def test_a_constant_reward_is_no_bug() -> None:
    class Alive(ToyModel):
        def step(self, state, action, noise):
            out = super().step(state, action, noise)
            return out._replace(reward=torch.ones_like(out.reward))

    assert lint(Alive()) == []


# 4. Wrong mask after reset.


class LeakyCore(DreamCore):
    """A reset that leaves the cache of the ended episode in place."""

    def reset_rows(self, state, index, start=None):
        rows, start = DreamCore.reset_rows(self, state, index, start)
        old = state.dream
        return CoreReset(
            rows._replace(dream=rows.dream._replace(keys=old.keys[index], cached=old.cached[index])), start
        )


class ShiftedMaskCore(DreamCore):
    """A reset that hits the neighbours of the rows it should."""

    def reset_rows(self, state, index, start=None):
        begun, start = DreamCore.reset_rows(self, state, (index + 1) % len(state.seed), start)
        written = self.write_rows(state, index, begun)
        return CoreReset(gather(written, index), start)

    def write_rows(self, state, index, rows, *, consume=False):
        at = (index + 1) % len(state.seed)
        return write_rows(state, at, DreamCore.reset_rows(self, state, at).begun)


class NoResetCore(DreamCore):
    def reset_rows(self, state, index, start=None):
        return CoreReset(gather(state, index), DreamCore.reset_rows(self, state, index, start).start)


def with_core(core: type[DreamCore], horizon: int = 9, **model: Any) -> DreamVectorEnv:
    envs = dream(ToyModel(**model), horizon=horizon)
    envs.core = core(**{name: getattr(envs.core, name) for name in DreamCore.__slots__})
    return envs


def test_wrong_mask_after_reset() -> None:
    assert codes(lint(with_core(LeakyCore, bound=1e9))) == {"reset-leaks"}
    assert codes(lint(with_core(LeakyCore, bound=0.6))) >= {"reset-leaks"}
    assert codes(lint(with_core(ShiftedMaskCore, bound=0.6))) & {"reset-leaks", "rows-interfere", "reset-mask"}
    assert "reset-mask" in codes(lint(with_core(ShiftedMaskCore, bound=1e9)))
    assert "reset-missing" in codes(lint(with_core(NoResetCore, bound=1e9)))


class AllRowsReset(VectorWrapper):
    """When one row ends, all begin anew."""

    def step(self, actions):
        obs, reward, terminated, truncated, info = self.env.step(actions)
        if (terminated | truncated).any():
            obs, _ = self.env.reset()
        return obs, reward, terminated, truncated, info


def test_all_rows_reset_when_one_ends() -> None:
    assert "rows-interfere" in codes(lint(AllRowsReset(dream(ToyModel(bound=0.8)))))


# 5. Lost final observation.


class Finals(VectorWrapper):
    """Spoils `final_obs` in one of five ways."""

    def __init__(self, env: VectorEnv, how: str) -> None:
        super().__init__(env)
        self.how = how

    def reset(self, **kwargs):
        self.last, info = self.env.reset(**kwargs)
        return self.last, info

    def step(self, actions):
        obs, reward, terminated, truncated, info = self.env.step(actions)
        if "final_obs" in info:
            if self.how == "missing":
                info = {k: v for k, v in info.items() if "final" not in k}
            elif self.how == "next":
                info["final_obs"] = obs.copy()
            elif self.how == "stale":
                info["final_obs"] = self.last.copy()
            elif self.how == "mask":
                info["_final_obs"] = ~info["_final_obs"]
            elif self.how == "wide":
                info["_final_obs"] = np.ones_like(info["_final_obs"])
        self.last = obs.copy()
        return obs, reward, terminated, truncated, info


@pytest.mark.parametrize("how", ["missing", "next", "stale", "mask", "wide"])
def test_lost_final_observation(how: str) -> None:
    assert "final-obs" in codes(lint(Finals(dream(ToyModel(bound=0.8)), how)))


# 6. Lost seed.


class Seeds(VectorWrapper):
    """Spoils the seed in one of four ways."""

    def __init__(self, env: VectorEnv, how: str) -> None:
        super().__init__(env)
        self.how, self.last = how, 0

    def reset(self, *, seed=None, options=None):
        if self.how == "lost":
            seed = None
        elif self.how == "constant":
            seed = 3
        elif self.how == "alike":
            seed = None if seed is None else [seed] * self.num_envs
        elif self.how == "replay":
            seed = self.last = self.last if seed is None else seed
        return self.env.reset(seed=seed, options=options)


@pytest.mark.parametrize(
    ("how", "code"),
    [("lost", "seed-lost"), ("constant", "seed-ignored"), ("alike", "rows-alike"), ("replay", "replay")],
)
def test_lost_seed(how: str, code: str) -> None:
    assert codes(lint(Seeds(dream(), how))) == {code}


class GlobalNoise(ToyModel):
    """Noise drawn for the batch as a whole: seeded, but a row's share depends on the batch."""

    def step(self, state, action, noise):
        generator = torch.Generator().manual_seed(int(1e4 * noise.flatten()[0].abs()))
        return super().step(state, action, torch.randn(noise.shape, generator=generator))


def test_noise_that_belongs_to_the_batch() -> None:
    assert "batch-dependent" in codes(lint(GlobalNoise()))


# Other things.


def test_nan_and_observations_outside_the_space() -> None:
    class Nan(ToyModel):
        def latent_observation(self, state):
            return super().latent_observation(state) + torch.where(state.position == 5, float("nan"), 0.0)[:, None]

    class Wide(ToyModel):
        def latent_observation(self, state):
            return 1000 * state.latents.flatten(1)

    assert codes(lint(Nan())) == {"not-finite"}
    assert codes(lint(Wide())) == {"out-of-space"}


def test_what_cannot_be_checked_is_said() -> None:
    found = lint(dream(ToyModel(bound=1e9), horizon=1000))
    assert {f.severity for f in found} == {"unchecked"}
    assert codes(found) == {"final-obs", "reset-leaks"}
    assert {f.severity for f in lint(dream(num_envs=1))} == {"unchecked"}


def test_other_reset_modes_are_refused() -> None:
    with pytest.raises(InputError, match="dream: expected SAME_STEP"):
        lint(DreamVectorEnv(ToyModel(), 2, autoreset_mode="Disabled"))
    with pytest.raises(InputError, match="real: expected observations"):
        lint(dream(), real=DreamVectorEnv(ToyModel(), 2, obs="state"))
