"""An any-step network: streaming equals parallel, it reads where to jump, and begins as its teacher."""

from __future__ import annotations

import torch

from tests.wmenv.dynamics.test_streaming import clip
from tests.wmenv.tiny import next_frame, random_dynamics
from wmenv.dynamics import Dynamics, new_cache


def test_streaming_equals_parallel():
    dynamics, x = random_dynamics(any_step=True), clip()
    lower = x["level"] * 0.5
    parallel = dynamics(**x, lower=lower)
    cache, base = new_cache(dynamics, len(x["first"])), x["first"]
    for t in range(x["context"].shape[1]):
        frame = next_frame(dynamics, cache, x["action"][:, t])
        said = frame.estimate(base, x["noised"][:, t], x["level"][:, t], lower[:, t])
        torch.testing.assert_close(said, parallel[:, t], rtol=0, atol=1e-10)
        cache = frame.commit(base, x["context"][:, t], x["context_level"][:, t], x["valid"][:, t])
        base = x["context"][:, t]


def test_it_reads_where_to_jump_and_without_that_jumps_nowhere():
    dynamics, x = random_dynamics(any_step=True), clip()
    nowhere = dynamics(**x)
    assert torch.equal(nowhere, dynamics(**x, lower=x["level"]))
    assert (nowhere - dynamics(**x, lower=x["level"] * 0.5)).abs().max() > 1e-3


def test_other_networks_do_not_mind():
    dynamics, x = random_dynamics(), clip()
    assert torch.equal(dynamics(**x), dynamics(**x, lower=x["level"] * 0.5))


def test_a_new_one_says_what_its_teacher_says():
    teacher, x = random_dynamics(), clip()
    fresh = Dynamics(random_dynamics(any_step=True).config).double().requires_grad_(False)
    fresh.load_state_dict({**fresh.state_dict(), **teacher.state_dict()})
    torch.testing.assert_close(fresh(**x, lower=x["level"] * 0.5), teacher(**x), rtol=0, atol=1e-12)
