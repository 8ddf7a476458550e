"""The heads: a new unit for rewards must not change what they say."""

import torch

from wmenv.heads import TransitionHeads


def test_a_new_unit_leaves_the_reward_as_it_was():
    torch.manual_seed(0)
    heads = TransitionHeads(2, 3, 1, 16)
    heads.reward_mean.fill_(-4.0)
    heads.reward_scale.fill_(2.0)
    before, after, action = torch.randn(5, 2, 3), torch.randn(5, 2, 3), torch.randn(5, 1)
    reward, termination = heads.read(before, after, action)
    normalised = heads(before, after, action)[0]
    heads.rescale_reward(torch.tensor(100.0), torch.tensor(30.0))
    again, same = heads.read(before, after, action)
    torch.testing.assert_close(again, reward)
    torch.testing.assert_close(same, termination)
    assert heads.reward_mean == 100 and heads.reward_scale == 30
    assert not torch.allclose(heads(before, after, action)[0], normalised), "the network itself speaks the new unit"
