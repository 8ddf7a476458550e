"""No clip crosses episodes, every mask is right, and no transition is lost: an episode's last one least of all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wmenv.data.windows import Clip, LatentEpisodes


def lay(steps: list[int], ends: list[bool]) -> LatentEpisodes:
    """Episodes whose latent says (episode, frame), whose action t is t + 1 and whose reward t is 10 * episode + t."""
    frames = [torch.arange(t + 1) for t in steps]
    latents = [torch.stack((torch.full_like(f, e), f), -1).float().unsqueeze(1) for e, f in enumerate(frames)]
    actions = [torch.arange(1, t + 1).float().unsqueeze(1) for t in steps]
    rewards = [10.0 * e + torch.arange(t) for e, t in enumerate(steps)]
    return LatentEpisodes.lay(latents, actions, rewards, ends)


@st.composite
def recordings(draw: st.DrawFn) -> tuple[list[int], LatentEpisodes]:
    steps = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    return steps, lay(steps, draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps))))


def check(clip: Clip, row: int, episode: int, begin: int, steps: int, ends: bool) -> None:
    """Every field of one clip against the definition."""
    for f in range(clip.latent.shape[1]):
        frame = begin + f
        inside = min(max(frame, 0), steps)
        target = 1 <= frame <= steps
        assert clip.latent[row, f, 0].tolist() == [episode, inside]
        assert bool(clip.valid[row, f]) == (0 <= frame <= steps)
        assert bool(clip.target[row, f]) == target
        assert clip.action[row, f].item() == (frame if target else 0.0), "the action that led here, or none"
        if target:
            assert clip.reward[row, f].item() == 10.0 * episode + frame - 1
        assert bool(clip.terminated[row, f]) == (ends and frame == steps)
    assert clip.first[row, 0].tolist() == [episode, min(max(begin - 1, 0), steps)]


@settings(max_examples=50, deadline=None)
@given(recordings(), st.integers(1, 6), st.data())
def test_a_cut_is_what_was_recorded(recording, frames: int, data: st.DataObject):
    steps, laid = recording
    episode = data.draw(st.integers(0, len(steps) - 1))
    begin = data.draw(st.integers(-7, steps[episode] + 3))
    clip = laid.cut(torch.tensor([episode]), torch.tensor([begin]), frames)
    check(clip, 0, episode, begin, steps[episode], bool(laid.terminated[laid.start[episode] + steps[episode]]))


@settings(max_examples=50, deadline=None)
@given(recordings(), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_sampled_clips_lie_in_one_episode_and_hold_a_transition(recording, frames: int, seed: int):
    steps, laid = recording
    clip = laid.sample(8, frames, torch.Generator().manual_seed(seed))
    assert clip.target.any(1).all()
    for row in range(8):
        f = int(clip.target[row].nonzero()[0])
        episode, frame = (int(x) for x in clip.latent[row, f, 0])
        ends = bool(laid.terminated[laid.start[episode] + steps[episode]])
        check(clip, row, episode, frame - f, steps[episode], ends)


def test_every_transition_is_drawn_equally_often_the_last_ones_too():
    steps = [1, 2, 5, 12]
    laid = lay(steps, [True] * 4)
    clip = laid.sample(40_000, 1, torch.Generator().manual_seed(0))
    assert clip.target.all()
    drawn = laid.start[clip.latent[:, 0, 0, 0].long()] + clip.latent[:, 0, 0, 1].long()
    count = torch.bincount(drawn, minlength=len(laid.latent)).float()
    reached = torch.ones(len(laid.latent), dtype=torch.bool)
    reached[laid.start] = False
    assert (count[~reached] == 0).all(), "an episode's first observation is reached by no action"
    wanted = 40_000 / sum(steps)
    assert ((count[reached] - wanted).abs() < 5 * wanted**0.5).all()
    assert clip.terminated.float().mean().item() == pytest.approx(4 / sum(steps), abs=0.01)


def test_long_clips_too_show_every_transition_equally_often():
    """Neighbours come along in long clips, and an episode's ends have fewer of them; so clips hang over the ends."""
    steps, frames, rows = [1, 6, 20], 4, 60_000
    laid = lay(steps, [True] * 3)
    clip = laid.sample(rows, frames, torch.Generator().manual_seed(0))
    shown = clip.latent[clip.target][:, 0].long()
    count = torch.bincount(laid.start[shown[:, 0]] + shown[:, 1], minlength=len(laid.latent)).float()
    reached = torch.ones(len(laid.latent), dtype=torch.bool)
    reached[laid.start] = False
    wanted = rows * frames / (sum(steps) + (frames - 1) * len(steps))
    assert ((count[reached] - wanted).abs() < 6 * wanted**0.5).all()


def test_clips_repeat_by_their_seed():
    laid = lay([3, 9], [False, True])
    a, b, c = (laid.sample(16, 3, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a, c, strict=True))
