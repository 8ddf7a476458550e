"""Stepping in place gives the same numbers as stepping a copy, and harms no state that anyone still holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.wmenv.tiny import make_model
from wmenv.envs import DreamVectorEnv


@pytest.mark.parametrize("modality", ["state", "frames"])
def test_in_place_gives_the_same_dream_and_a_copy_leaves_its_state_alone(modality: str):
    model = make_model(modality)
    index = torch.tensor([0, 1, 4])
    copied, consumed = model.start(index), model.start(index)
    generator = torch.Generator().manual_seed(0)
    for _ in range(9):  # the window is 3
        action, noise = (
            torch.rand(3, 1, generator=generator),
            torch.randn(3, 2, *model.latent_shape, generator=generator),
        )
        before, kept = copied, [field.clone() for field in copied]
        out, same = model.step(copied, action, noise), model.step(consumed, action, noise, consume=True)
        assert all(torch.equal(a, b) for a, b in zip(before, kept, strict=True))
        assert same.state.keys.data_ptr() == consumed.keys.data_ptr() != out.state.keys.data_ptr()
        copied, consumed = out.state, same.state
        assert torch.equal(out.reward, same.reward) and torch.equal(out.termination, same.termination)
        assert all(torch.equal(a, b) for a, b in zip(copied, consumed, strict=True))


def test_a_consumed_state_still_says_where_it_stood():
    """So an interrupt between the step and its bookkeeping does no harm."""
    model = make_model()
    state = model.start(torch.arange(5))
    action, noise = torch.zeros(5, 1), torch.ones(5, 2, *model.latent_shape)
    wanted = model.step(state, action, noise)
    model.step(state, -action, -noise, consume=True)
    got = model.step(state, action, noise)
    for a, b in zip((*wanted.state[2:], *wanted[1:]), (*got.state[2:], *got[1:]), strict=True):
        assert torch.equal(a, b)


def test_environments_step_their_model_in_place():
    envs = DreamVectorEnv(make_model(), 4, horizon=50)
    envs.reset(seed=0)
    place = envs._live_state().dream.keys.data_ptr()
    for _ in range(5):
        envs.step(np.zeros((4, 1)))
    assert envs._live_state().dream.keys.data_ptr() == place


def test_starts_are_not_written():
    model = make_model()
    envs = DreamVectorEnv(model, 4, horizon=3)
    first = [envs.reset(seed=0)[0]] + [envs.step(np.zeros((4, 1)))[0] for _ in range(8)]
    again = [envs.reset(seed=0)[0]] + [envs.step(np.zeros((4, 1)))[0] for _ in range(8)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_snapshots_and_forks_are_copies():
    model = make_model()
    envs = DreamVectorEnv(model, 4)
    envs.reset(seed=0)
    snapshot = envs.save_state()
    kept = [field.clone() for field in snapshot.core.dream]
    for _ in range(5):
        envs.step(np.ones((4, 1)))
        envs.fork(0, [2])
    assert all(torch.equal(a, b) for a, b in zip(snapshot.core.dream, kept, strict=True))
